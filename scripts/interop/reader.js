// Reads a multicore, given nothing but the key of its main core: prints block 0
// of main, then every message of the other cores as it comes, live.
//
//   node reader.js DIR KEY connect|listen|swarm HOST:PORT
//
// On standard input: "get CORE INDEX" prints a block's length and sha256 digest,
// "seek CORE BYTES" the block and the offset in it, "download CORE" fetches all
// and prints the digest of the whole; CORE counts from 1.
const Corestore = require('corestore')
const crypto = require('crypto')
const readline = require('readline')
const { join } = require('./peer.js')

function digest (hash) {
  return hash.digest('hex')
}

async function follow (n, core) {
  console.log(`core-${n} has ${core.length}`)
  for (let i = 0; ; i++) {
    const block = await core.get(i)
    if (block.length < 200) console.log(`Block ${i} in core-${n}: ${JSON.stringify(block.toString())}`)
  }
}

async function run (cores, line) {
  const [command, n, arg] = line.split(' ')
  const core = cores[Number(n) - 1]
  if (command === 'get') {
    const block = await core.get(Number(arg))
    return `${block.length} ${digest(crypto.createHash('sha256').update(block))}`
  }
  if (command === 'seek') {
    return (await core.seek(Number(arg))).join(' ')
  }
  await core.download({ start: 0, end: core.length }).done()
  const hash = crypto.createHash('sha256')
  for (let i = 0; i < core.length; i++) hash.update(await core.get(i))
  return `${core.length} ${core.byteLength} ${digest(hash)}`
}

async function main (dir, key, how, where) {
  const store = new Corestore(dir)
  const main = store.get({ key: Buffer.from(key, 'hex') })
  await main.ready()
  join(store, how, where, main)

  const first = await main.get(0)
  console.log(`main: ${first}`)
  const cores = [main]
  for (const other of JSON.parse(first).otherKeys) {
    const core = store.get({ key: Buffer.from(other, 'hex') })
    await core.ready()
    cores.push(core)
  }
  if (!process.env.SPARSE) {
    cores.slice(1).forEach((core, i) => follow(i + 2, core).catch((err) => console.error(err)))
  } else {
    await Promise.all(cores.map((core) => core.update({ wait: true })))
  }
  console.log('ready')
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(`${line}: ${await run(cores, line)}`)
  }
}

main(...process.argv.slice(2)).catch((err) => {
  console.error(err)
  process.exit(1)
})
