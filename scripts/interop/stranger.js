// A Hyperswarm peer that knows the discovery key of a core and not its key: it
// opens the core all the same, and says when it is sent away.
//
//   node stranger.js TOPIC DISCOVERY-KEY HOST:PORT
const crypto = require('crypto')
const c = require('compact-encoding')
const DHT = require('hyperdht')
const Hyperswarm = require('hyperswarm')

const [topic, id, bootstrap] = process.argv.slice(2)

const parts = [[c.uint, 0], [c.uint, 1], [c.uint, 1], [c.string, 'hypercore/alpha'], [c.buffer, Buffer.from(id, 'hex')],
  [c.uint, 1], [c.fixed32, crypto.randomBytes(32)]]
const state = { start: 0, end: 0, buffer: null }
for (const [encoding, value] of parts) encoding.preencode(state, value)
state.buffer = Buffer.alloc(state.end)
for (const [encoding, value] of parts) encoding.encode(state, value)

const swarm = new Hyperswarm({ dht: new DHT({ bootstrap: [bootstrap], host: '127.0.0.1' }) })
swarm.on('connection', (peer) => {
  let received = 0
  peer.on('data', (frame) => { received += frame.length })
  peer.on('error', () => {})
  peer.on('close', () => console.log(`sent away after ${received} bytes`))
  peer.write(state.buffer)
})
swarm.join(Buffer.from(topic, 'hex'))
