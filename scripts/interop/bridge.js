#!/usr/bin/env node
// Joins Hyperswarm and a multicore's --hypercore-listen. Every peer of the topic
// gets a connection of its own to the multicore, and each frame of the one goes
// to the other; frames.js says what is changed in them. A connection that comes
// while the multicore is away waits for it; one that loses it is closed, and its
// peer comes back by itself.
const { parseArgs } = require('util')
const fs = require('fs')
const net = require('net')
const os = require('os')
const path = require('path')
const Corestore = require('corestore')
const DHT = require('hyperdht')
const Hyperswarm = require('hyperswarm')
const SecretStream = require('@hyperswarm/secret-stream')
const ID = require('hypercore-id-encoding')
const { Keys, translate } = require('./frames.js')

const help = `node bridge.js [options] KEY HOST:PORT

Makes a multicore readable for peers on Hyperswarm, and theirs for it:
  KEY        its main core key, hex or z-base-32
  HOST:PORT  where it listens: multicore mount|serve --hypercore-listen HOST:PORT

  --topic HEX            joined in place of the discovery key of KEY
  --bootstrap HOST:PORT  a DHT node to enter by, in place of the public ones;
                         may be repeated
  --host ADDRESS         the address that UDP is bound to (0.0.0.0)
  --max-peers N          peers at once (64)

The bridge passes frames on and stores nothing: every block is read from the
multicore when a peer asks for it, and each peer sees appends as they happen.
For a moment it reads block 0 of the main core, in a temporary directory, for
the keys of the other cores. It must know them: whoever opens a core shows that
it knows the key, in a way that holds on one connection only. So the bridge
checks that of each side and shows the other that it knows the key itself.
Peers that know the topic and not the key get nothing. Cores that KEY does not
name are not passed on.

Run it on the machine of the multicore, which takes no more than 64 connections
from any one other address.
`

const retryFirst = 500
const retryMost = 10_000
const silence = 30_000 // of a multicore, which sends something every 5 seconds
const headStart = 1_000 // of block 0, before peers are let in
const farewell = 3_000 // to whom it may concern, at the end

function log (...args) {
  console.error('bridge:', ...args)
}

// address splits HOST:PORT.
function address (text) {
  const at = text.lastIndexOf(':')
  const port = Number(text.slice(at + 1))
  if (at < 1 || !(port > 0 && port < 65536)) throw new Error(`${text}: want HOST:PORT`)
  return { host: text.slice(0, at), port }
}

// Multicore is where the multicore listens.
class Multicore {
  constructor (at) {
    this.at = at
    this.away = false // as it was last said
  }

  // dial gives an open secret stream, as soon as the multicore takes one, or
  // null once the signal aborted.
  async dial (signal) {
    for (let wait = retryFirst; !signal.aborted; wait = Math.min(2 * wait, retryMost)) {
      const socket = net.connect(this.at)
      socket.setNoDelay(true)
      const stream = new SecretStream(true, socket, { keepAlive: 5000 })
      stream.setTimeout(silence) // of the handshake too
      const failed = (err) => this.tell(err)
      stream.on('error', failed)
      const abort = () => stream.destroy()
      signal.addEventListener('abort', abort)
      const opened = await stream.opened
      signal.removeEventListener('abort', abort)
      if (opened && !signal.aborted) {
        if (this.away) log('the multicore is back')
        this.away = false
        stream.on('error', (err) => log(`multicore: ${err.message}`))
        stream.off('error', failed)
        return stream
      }
      stream.destroy()
      await pause(wait, signal)
    }
    return null
  }

  // tell says once why the multicore is away.
  tell (err) {
    if (!this.away) log(`the multicore is away, trying again: ${err.message}`)
    this.away = true
  }
}

function pause (ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
  })
}

// learn gives block 0 of the main core, once the multicore has it.
async function learn (key, multicore, signal) {
  const dir = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'multicore-bridge-'))
  const store = new Corestore(dir)
  const done = new AbortController()
  const stop = AbortSignal.any([signal, done.signal])
  try {
    const core = store.get({ key })
    await core.ready()
    const aborted = new Promise((resolve) => signal.addEventListener('abort', () => resolve(null)))
    let stream = null
    stop.addEventListener('abort', () => stream?.destroy())
    const connected = async () => {
      while ((stream = await multicore.dial(stop)) !== null) {
        if (stop.aborted) return stream.destroy()
        const closed = new Promise((resolve) => stream.on('close', resolve))
        store.replicate(stream)
        await closed
        await pause(retryFirst, stop)
      }
    }
    connected()
    return await Promise.race([core.get(0), aborted])
  } finally {
    done.abort()
    await store.close()
    await fs.promises.rm(dir, { recursive: true, force: true })
  }
}

// Bridge holds the connections.
class Bridge {
  constructor (keys, multicore, limit) {
    this.keys = keys
    this.multicore = multicore
    this.limit = limit
    this.ready = false // all keys are known
    this.count = 0
    this.opaque = new Set() // connections on which unknown cores were opened
  }

  // pass joins a peer to the multicore until either goes.
  async pass (peer) {
    const name = ID.encode(peer.remotePublicKey).slice(0, 8)
    const gone = new AbortController()
    peer.on('error', (err) => log(`peer ${name}: ${err.message}`))
    peer.on('close', () => gone.abort())
    if (this.count >= this.limit) {
      peer.destroy(new Error(`${this.limit} peers are here already`))
      return
    }
    this.count++
    log(`peer ${name} came, ${this.count} here`)
    peer.on('close', () => {
      this.opaque.delete(peer)
      log(`peer ${name} went, ${--this.count} left`)
    })

    const multicore = await this.multicore.dial(gone.signal)
    if (multicore === null) return
    if (gone.signal.aborted) return multicore.destroy()
    peer.on('close', () => multicore.destroy())
    multicore.on('close', () => peer.destroy())
    this.pump(peer, multicore, peer)
    this.pump(multicore, peer, peer)
  }

  // pump passes the frames of one direction on, no faster than they are taken.
  pump (from, to, peer) {
    from.on('data', (frame) => {
      try {
        if (translate(frame, from, to, this.keys)) this.opaque.add(peer)
      } catch (err) {
        from.destroy(err)
        return
      }
      if (!to.write(frame)) from.pause()
    })
    to.on('drain', () => from.resume())
    from.on('end', () => to.end())
  }

  // renew is called once the keys are there. It closes the connections on which
  // cores were opened that the bridge did not know: a refused core is not opened
  // again on the same one.
  renew () {
    this.ready = true
    for (const peer of this.opaque) peer.destroy()
  }
}

async function main () {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      topic: { type: 'string' },
      bootstrap: { type: 'string', multiple: true },
      host: { type: 'string' },
      'max-peers': { type: 'string', default: '64' },
      help: { type: 'boolean', short: 'h' }
    }
  })
  if (values.help) {
    console.log(help)
    return
  }
  if (positionals.length !== 2) throw new Error('want KEY and HOST:PORT, see --help')
  const key = ID.decode(positionals[0].replace(/^multicore:/, ''))
  const multicore = new Multicore(address(positionals[1]))
  const keys = new Keys(key)
  const topic = values.topic ? Buffer.from(values.topic, 'hex') : keys.topic
  if (topic.length !== 32) throw new Error('--topic: want 64 hex digits')
  const limit = Number(values['max-peers'])
  if (!(limit > 0)) throw new Error('--max-peers: want a number above 0')

  const bootstrap = values.bootstrap?.map(address)
  const swarm = new Hyperswarm({ dht: new DHT({ bootstrap, host: values.host }) })
  const bridge = new Bridge(keys, multicore, limit)
  swarm.on('connection', (peer) => bridge.pass(peer))

  const end = new AbortController()
  let learned = null
  const stop = async () => {
    if (end.signal.aborted) return
    end.abort()
    const late = setTimeout(() => process.exit(0), farewell)
    for (const peer of swarm.connections) peer.destroy()
    await Promise.allSettled([swarm.destroy(), learned])
    clearTimeout(late)
    process.exit(0)
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)

  learned = learn(key, multicore, end.signal).then((block) => {
    if (block === null) return
    const more = keys.learn(block)
    log(`the main core names ${more} more`)
    bridge.renew()
  })
  await Promise.race([learned, pause(headStart, end.signal)])
  if (end.signal.aborted) return
  if (!bridge.ready) log('the multicore has no block 0 of the main core so far')
  await swarm.join(topic).flushed()
  console.log(`joined ${topic.toString('hex')}`)
  await learned
}

main().catch((err) => {
  log(err.message)
  process.exit(1)
})
