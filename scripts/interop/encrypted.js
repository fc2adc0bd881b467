// Two encrypted cores: one is written here, the other is read.
//
//   node encrypted.js DIR ENCRYPTION_KEY KEY connect|listen HOST:PORT
//
// Prints the key of the first, which has three blocks, then each block of the core
// with that KEY. Both are encrypted with ENCRYPTION_KEY (64 hex digits). BLOCK_KEY
// in the environment: blocks are encrypted with it as it is.
const Corestore = require('corestore')
const { join } = require('./peer.js')

async function main (dir, encryptionKey, key, how, where) {
  const store = new Corestore(dir)
  const encryption = { key: Buffer.from(encryptionKey, 'hex'), block: !!process.env.BLOCK_KEY }
  const own = store.get({ name: 'own', encryption })
  await own.append(['one', 'two, longer', ''])
  console.log(`core key: ${own.key.toString('hex')}`)

  const theirs = store.get({ key: Buffer.from(key, 'hex'), encryption })
  await theirs.ready()
  join(store, how, where)
  await theirs.update({ wait: true })
  for (let i = 0; i < theirs.length; i++) console.log(`block ${i}: ${await theirs.get(i)}.`)
  console.log(`${theirs.length} blocks, ${theirs.byteLength} bytes, byte 5 is in ${await theirs.seek(5)}`)
}

main(...process.argv.slice(2)).catch((err) => {
  console.error(err)
  process.exit(1)
})
