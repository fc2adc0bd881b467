// A multicore in JavaScript: three cores of one store, of which the first names
// the other two. Each line of standard input is a message, appended to core-2
// where it is shorter than 5 bytes, newline included, else to core-3.
//
//   node writer.js DIR connect|listen|swarm HOST:PORT
//
// Also understood, CORE counting from 1:
//   /blocks CORE SIZE COUNT  appends COUNT blocks of SIZE bytes in one batch,
//                            block i filled with the byte i mod 256
//   /lines CORE COUNT        appends COUNT lines in one batch, line i being
//                            "line i " and i mod 50 times an x
//   /clear CORE START END    drops the blocks START to END-1
//   /truncate CORE LENGTH    goes back to the first LENGTH blocks
//
// PRIMARY_KEY (64 hex digits) in the environment makes the store's keys. With
// LATE the cores are opened, and made, only when the first line was read.
const Corestore = require('corestore')
const readline = require('readline')
const { join } = require('./peer.js')

const commands = {
  async '/blocks' (core, size, count) {
    const blocks = []
    for (let i = 0; i < count; i++) blocks.push(Buffer.alloc(size, i % 256))
    await core.append(blocks)
  },

  async '/lines' (core, count) {
    const blocks = []
    for (let i = 0; i < count; i++) blocks.push(`line ${i} ${'x'.repeat(i % 50)}\n`)
    await core.append(blocks)
  },

  async '/clear' (core, start, end) {
    await core.clear(start, end)
  },

  async '/truncate' (core, length) {
    await core.truncate(length)
  }
}

async function main (dir, how, where) {
  const primaryKey = process.env.PRIMARY_KEY && Buffer.from(process.env.PRIMARY_KEY, 'hex')
  const store = new Corestore(dir, { primaryKey, unsafe: true })
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  if (process.env.LATE) {
    join(store, how, where)
    await lines.next()
  }
  const cores = ['core-1', 'core-2', 'core-3'].map((name) => store.get({ name }))
  await Promise.all(cores.map((core) => core.ready()))
  const [main, short, long] = cores
  if (main.length === 0) {
    await main.append(JSON.stringify({ otherKeys: [short, long].map((c) => c.key.toString('hex')) }))
  }
  console.log(`main core key: ${main.key.toString('hex')}`)
  if (!process.env.LATE) join(store, how, where, main)

  for await (const line of lines) {
    const [command, core, ...args] = line.split(' ')
    if (commands[command]) {
      await commands[command](cores[Number(core) - 1], ...args.map(Number))
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
