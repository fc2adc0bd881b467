// What the bridge changes in the frames it passes on. Who opens a core shows a
// capability: a hash of the core's key and of this one connection. An open of a
// core whose key is known here is checked, and its capability replaced by that
// of the connection it is passed to. An open of any other core is passed on
// under an id that nobody has, so that it is refused like any unknown core.
// Sizes and channel ids stay as they were.
const crypto = require('crypto')
const c = require('compact-encoding')
const caps = require('hypercore/lib/caps.js')
const { discoveryKey } = require('hypercore-crypto')

const PROTOCOL = 'hypercore/alpha'
const MAX_KEYS = 1024

// Keys are the cores that are passed on, by discovery key.
class Keys {
  constructor (main) {
    this.main = main
    this.topic = discoveryKey(main)
    this.known = new Map([[this.topic.toString('hex'), main]])
    this.salt = crypto.randomBytes(32)
  }

  get (id) {
    return this.known.get(id.toString('hex'))
  }

  // learn takes the keys that block 0 of the main core names, and says how many.
  learn (block) {
    let others = []
    try {
      others = JSON.parse(block).otherKeys
    } catch {}
    if (!Array.isArray(others)) return 0
    for (const hex of others.slice(0, MAX_KEYS)) {
      if (typeof hex !== 'string' || !/^[0-9a-f]{64}$/i.test(hex)) continue
      const key = Buffer.from(hex, 'hex')
      this.known.set(discoveryKey(key).toString('hex'), key)
    }
    return this.known.size - 1
  }

  // alias gives an id that nobody has, always the same for an id.
  alias (id) {
    return crypto.createHmac('sha256', this.salt).update(id).digest()
  }
}

// translate changes a frame, in place, that one stream received and the other is
// to send. It says whether a core was opened whose key is not known, and throws
// where the frame is malformed or a capability wrong.
function translate (frame, from, to, keys) {
  if (frame.length === 0) return false
  const state = { buffer: frame, start: 0, end: frame.length }
  return message(c.uint.decode(state), state, { from, to, keys })
}

function message (channel, state, way) {
  if (channel !== 0) return false
  switch (c.uint.decode(state)) {
    case 0: return batch(state, way)
    case 1: return open(state, way)
    default: return false
  }
}

function batch (state, way) {
  const { end } = state
  let channel = c.uint.decode(state)
  let unknown = false
  while (state.start < end) {
    const n = c.uint.decode(state)
    if (n === 0) {
      channel = c.uint.decode(state)
      continue
    }
    state.end = Math.min(state.start + n, end)
    const next = state.end
    if (message(channel, state, way)) unknown = true
    state.start = next
    state.end = end
  }
  return unknown
}

function open (state, { from, to, keys }) {
  c.uint.decode(state) // the channel's id
  if (c.string.decode(state) !== PROTOCOL) return false
  const id = c.optionalBuffer.decode(state) // a view of the frame
  if (id === null || id.length !== 32) return false
  const key = keys.get(id)
  if (key === undefined) {
    id.set(keys.alias(id))
    return true
  }
  c.uint.decode(state) // flags
  const capability = c.fixed32.decode(state)
  if (!crypto.timingSafeEqual(capability, caps.replicate(!from.isInitiator, key, from.handshakeHash))) {
    throw new Error('a wrong capability was shown')
  }
  capability.set(caps.replicate(to.isInitiator, key, to.handshakeHash))
  return false
}

module.exports = { Keys, translate }
