// The JavaScript side of the network cases: what scripts/bench/writer.go and
// reader.go do, with the packages. Told its role by the spec.
const { Blocks, Corestore, run, listen, dial, monotonic, since, latencies } = require('./common.js')

const PACE = 5 // ms between two appends that a reader is to see

async function fillCore (store, name, blocks, count) {
  const core = store.get({ name })
  await core.ready()
  const batch = Math.max(Math.min(1024, Math.floor((1 << 20) / blocks.size)), 1)
  for (let i = 0; i < count; i += batch) {
    await core.append(blocks.range(i, Math.min(i + batch, count)))
  }
  const filled = { key: core.key.toString('hex'), hash: (await core.treeHash()).toString('hex') }
  await core.close()
  return filled
}

async function fill (spec, { say }) {
  const store = new Corestore(spec.dir)
  const blocks = new Blocks(spec.pool, spec.size)
  const warm = await fillCore(store, 'warm', blocks, spec.warmCount)
  const keys = []
  let hash = ''
  for (let i = 0; i < Math.max(spec.cores, 1); i++) {
    const filled = await fillCore(store, `core ${i}`, blocks, spec.count)
    keys.push(filled.key)
    hash = filled.hash
  }
  await store.close()
  say({ event: 'done', warm: warm.key, keys, hash })
}

async function open (store, key) {
  const core = store.get({ key: Buffer.from(key, 'hex') })
  await core.ready()
  return core
}

async function writer (spec, { say, next }) {
  const store = new Corestore(spec.dir)
  await open(store, spec.warm)
  const cores = []
  for (const key of spec.keys) cores.push(await open(store, key))
  say({ event: 'ready', addr: await listen(store) })
  for (;;) {
    const word = await next()
    if (word !== 'append') throw new Error(`told ${word}`)
    let due = since(0n)
    for (let n = 0; n < spec.samples + spec.warmCount; n++) {
      due = Math.max(due, since(0n)) + PACE / 1e3
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, (due - since(0n)) * 1e3)))
      const block = Buffer.alloc(spec.size)
      block.writeBigUInt64LE(monotonic())
      await cores[0].append(block)
    }
  }
}

async function reader (spec, { say, next }) {
  const store = new Corestore(spec.dir)
  const blocks = new Blocks(spec.pool, spec.size)
  const warm = await open(store, spec.warm)
  const core = spec.task === 'many' ? null : await open(store, spec.keys[0])
  dial(store, spec.addr)
  await warm.update({ wait: true })
  await warm.download({ start: 0, end: warm.length }).done()
  if (core !== null) await core.update({ wait: true })
  say({ event: 'ready' })
  await next()
  say({ event: 'done', ...await tasks[spec.task]({ spec, store, core, blocks }) })
}

const tasks = {
  async download ({ spec, core }) {
    const start = monotonic()
    await core.download({ start: 0, end: core.length }).done()
    const seconds = since(start)
    if (core.length !== spec.count || core.contiguousLength !== spec.count) {
      throw new Error(`read ${core.contiguousLength} of ${core.length} blocks, want ${spec.count}`)
    }
    return { hash: (await core.treeHash()).toString('hex'), values: { seconds } }
  },

  async demand ({ spec, core, blocks }) {
    const times = []
    let next = 0
    const start = monotonic()
    const one = async () => {
      while (next < spec.samples) {
        const i = next++ * 7919 % spec.count
        const asked = monotonic()
        const block = await core.get(i)
        times.push(since(asked))
        blocks.check(block, i)
      }
    }
    await Promise.all(Array.from({ length: spec.inflight }, one))
    return { values: { seconds: since(start), ...latencies(times) } }
  },

  async visible ({ spec, core }) {
    const times = []
    let i = core.length
    for (let n = 0; n < spec.samples + spec.warmCount; n++) {
      const block = await core.get(i++)
      if (n >= spec.warmCount) times.push(since(block.readBigUInt64LE()))
    }
    return { values: latencies(times) }
  },

  async many ({ spec, store, blocks }) {
    const start = monotonic()
    const all = await Promise.all(spec.keys.map((key) => store.get({ key: Buffer.from(key, 'hex') }).get(0)))
    const seconds = since(start)
    for (const block of all) blocks.check(block, 0)
    return { values: { seconds } }
  }
}

run(async (spec, parent) => {
  const roles = { fill, writer, reader }
  await roles[spec.role](spec, parent)
})
