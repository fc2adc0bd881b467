// What both programs share: an address, a socket, a replication stream.
const net = require('net')

// address splits HOST:PORT.
function address (text) {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) }
}

// attach replicates a store over a socket until either ends.
function attach (store, socket, isInitiator) {
  const stream = store.replicate(isInitiator)
  stream.on('error', (err) => console.error('stream:', err.message))
  socket.on('error', (err) => console.error('socket:', err.message))
  stream.pipe(socket).pipe(stream)
}

// join connects to HOST:PORT, again whenever the connection is lost, or listens
// there and says where, or meets others on Hyperswarm under the discovery key of
// a core, in a DHT on 127.0.0.1 that is entered at HOST:PORT.
function join (store, how, where, core) {
  const at = address(where)
  if (how === 'swarm') {
    const DHT = require('hyperdht')
    const Hyperswarm = require('hyperswarm')
    const swarm = new Hyperswarm({ dht: new DHT({ bootstrap: [at], host: '127.0.0.1' }) })
    swarm.on('connection', (connection) => store.replicate(connection))
    swarm.join(core.discoveryKey)
    return
  }
  if (how === 'listen') {
    const server = net.createServer((socket) => attach(store, socket, false))
    server.listen(at.port, at.host, () => {
      const { address, port } = server.address()
      console.log(`listening on ${address}:${port}`)
    })
    return
  }
  const dial = () => {
    const socket = net.connect(at.port, at.host)
    attach(store, socket, true)
    socket.on('close', () => setTimeout(dial, 500))
  }
  dial()
}

module.exports = { join }
