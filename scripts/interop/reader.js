// Reads a multicore, given nothing but the key of its main core: prints block 0
// of main, then every message of the other cores as it comes, live.
//
//   node reader.js DIR KEY connect|listen|swarm HOST:PORT
//
// SPARSE in the environment: nothing is read that is not asked for. LINGER: how
// many milliseconds after its last session a core is no longer followed.
//
// On standard input, CORE counting from 1; answers come when they are there:
//   get CORE INDEX             a block's length and sha256 digest
//   all CORE START END         the same of many blocks in a row, asked at once
//   seek CORE BYTES            the block of that byte and the offset in it
//   download CORE              fetches all: number, bytes, digest of the whole
//   fetch CORE START END       fetches, and says how many blocks are here
//   clear CORE START END       drops them, and says the same
//   close CORE, open CORE      the core's only session
//   leave CORE                 close, once no peer has the core open either
const Corestore = require('corestore')
const crypto = require('crypto')
const readline = require('readline')
const { join } = require('./peer.js')

// sum gives the length and the digest of blocks.
function sum (blocks) {
  const hash = crypto.createHash('sha256')
  let length = 0
  for (const block of blocks) {
    hash.update(block)
    length += block.length
  }
  return `${length} ${hash.digest('hex')}`
}

async function follow (n, core) {
  console.log(`core-${n} has ${core.length}`)
  let i = 0
  let interrupt
  core.on('truncate', (length, fork) => {
    console.log(`core-${n} truncated to ${length}, fork ${fork}`)
    i = Math.min(i, length)
    interrupt()
  })
  while (true) {
    const at = i
    const truncated = new Promise((resolve) => { interrupt = () => resolve(null) })
    const block = await Promise.race([core.get(at), truncated])
    if (block === null) continue // what it waited for may never come
    i = at + 1
    if (block.length < 200) console.log(`Block ${at} in core-${n}: ${JSON.stringify(block.toString())}`)
  }
}

function all (core, start, end) {
  return Promise.all(Array.from({ length: end - start }, (_, i) => core.get(start + i)))
}

async function here (core) {
  let n = 0
  for (let i = 0; i < core.length; i++) n += await core.has(i)
  return n
}

async function main (dir, key, how, where) {
  const store = new Corestore(dir)
  const open = async (key) => {
    const core = store.get({ key: Buffer.from(key, 'hex'), notDownloadingLinger: Number(process.env.LINGER) || undefined })
    await core.ready()
    return core
  }
  const main = await open(key)
  join(store, how, where, main)

  const first = await main.get(0)
  console.log(`main: ${first}`)
  const keys = [key, ...JSON.parse(first).otherKeys]
  const cores = [main, ...await Promise.all(keys.slice(1).map(open))]
  if (!process.env.SPARSE) {
    cores.slice(1).forEach((core, i) => follow(i + 2, core).catch((err) => console.error(err)))
  } else {
    await Promise.all(cores.map((core) => core.update({ wait: true })))
  }
  console.log('ready')

  const commands = {
    get: async (core, index) => sum([await core.get(index)]),
    all: async (core, start, end) => sum(await all(core, start, end)),
    seek: async (core, bytes) => (await core.seek(bytes)).join(' '),
    async download (core) {
      await core.download({ start: 0, end: core.length }).done()
      return `${core.length} ${sum(await all(core, 0, core.length))}`
    },
    async fetch (core, start, end) {
      await core.download({ start, end }).done()
      return here(core)
    },
    async clear (core, start, end) {
      await core.clear(start, end)
      return here(core)
    }
  }
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, n, ...args] = line.split(' ')
    const core = cores[n - 1]
    if (command === 'close' || command === 'leave') {
      const { replicator } = core.core
      await core.close()
      while (command === 'leave' && replicator.peers.length > 0) await new Promise((resolve) => setTimeout(resolve, 20))
      console.log(`${line}: done`)
    } else if (command === 'open') {
      cores[n - 1] = await open(keys[n - 1])
      console.log(`${line}: ${cores[n - 1].length}`)
    } else {
      commands[command](core, ...args.map(Number)).then((answer) => console.log(`${line}: ${answer}`), (err) => console.error(err))
    }
  }
}

main(...process.argv.slice(2)).catch((err) => {
  console.error(err)
  process.exit(1)
})
