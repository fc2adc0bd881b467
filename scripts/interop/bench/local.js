// The JavaScript side of the cases of one process: what scripts/bench/local.go
// does, with the packages.
const { Blocks, Corestore, run, monotonic, since } = require('./common.js')

const BATCH = 1024

// timed warms up, and does each sample when told.
async function timed (spec, { say, next }, one) {
  for (let n = 0; n < spec.warmCount; n++) await one(n)
  say({ event: 'ready' })
  await next()
  const start = monotonic()
  for (let n = 0; n < spec.samples; n++) await one(spec.warmCount + n)
  say({ event: 'done', values: { seconds: since(start) } })
}

async function open (spec, blocks, { say, next }) {
  say({ event: 'ready' })
  await next()
  const start = monotonic()
  const store = new Corestore(spec.dir)
  await store.ready()
  const opened = monotonic()
  const core = store.get({ name: 'core 0' })
  await core.ready()
  const i = Math.floor(spec.count * 7 / 9)
  const block = await core.get(i)
  const values = { open: since(opened) * 1e3, 'open store': since(start) * 1e3 }
  blocks.check(block, i)
  say({ event: 'done', values })
}

run(async (spec, parent) => {
  const blocks = new Blocks(spec.pool, spec.size)
  if (spec.task === 'open') return open(spec, blocks, parent)

  const store = new Corestore(spec.dir)
  const core = store.get({ name: 'core 0' })
  await core.ready()
  const read = async (i) => blocks.check(await core.get(i), i)
  const batch = spec.task === 'batch' ? blocks.range(0, BATCH) : []
  const tasks = {
    append: (n) => core.append(blocks.get(n)),
    batch: () => core.append(batch),
    sequential: (n) => read(n % spec.count),
    random: () => read(Math.floor(Math.random() * spec.count))
  }
  return timed(spec, parent, tasks[spec.task])
})
