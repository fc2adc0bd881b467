// A Hyperswarm DHT of its own on 127.0.0.1: prints HOST:PORT of a node to enter
// by, and runs until it is stopped.
//
//   node testnet.js [NODES]
const createTestnet = require('hyperdht/testnet')

createTestnet(Number(process.argv[2] || 10), { host: '127.0.0.1' }).then((testnet) => {
  const [{ host, port }] = testnet.bootstrap
  console.log(`bootstrap ${host}:${port}`)
})
