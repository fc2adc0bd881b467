// A multicore in JavaScript: three cores of one store, of which the first names
// the other two. Each line of standard input is a message, appended to core-2
// where it is shorter than 5 bytes, newline included, else to core-3.
//
//   node writer.js DIR connect|listen|swarm HOST:PORT
//
// Also understood: "/blocks CORE SIZE COUNT" appends COUNT blocks of SIZE bytes
// in one batch, block i filled with the byte i mod 256.
const Corestore = require('corestore')
const readline = require('readline')
const { join } = require('./peer.js')

async function main (dir, how, where) {
  const store = new Corestore(dir)
  const cores = ['core-1', 'core-2', 'core-3'].map((name) => store.get({ name }))
  await Promise.all(cores.map((core) => core.ready()))
  const [main, short, long] = cores
  if (main.length === 0) {
    await main.append(JSON.stringify({ otherKeys: [short, long].map((c) => c.key.toString('hex')) }))
  }
  console.log(`main core key: ${main.key.toString('hex')}`)
  join(store, how, where, main)

  const lines = readline.createInterface({ input: process.stdin })
  for await (const line of lines) {
    const [command, core, size, count] = line.split(' ')
    if (command === '/blocks') {
      const blocks = []
      for (let i = 0; i < Number(count); i++) blocks.push(Buffer.alloc(Number(size), i % 256))
      await cores[Number(core) - 1].append(blocks)
    } else {
      const message = Buffer.from(line + '\n')
      await (message.length < 5 ? short : long).append(message)
    }
    console.log(`appended ${cores.map((c) => c.length).join(' ')}`)
  }
}

main(...process.argv.slice(2)).catch((err) => {
  console.error(err)
  process.exit(1)
})
