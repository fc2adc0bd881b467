// node --test: what the bridge changes in frames.
const { test } = require('node:test')
const assert = require('node:assert')
const crypto = require('crypto')
const c = require('compact-encoding')
const caps = require('hypercore/lib/caps.js')
const { discoveryKey } = require('hypercore-crypto')
const { Keys, translate } = require('./frames.js')

const main = crypto.randomBytes(32)
const other = crypto.randomBytes(32)
const stranger = crypto.randomBytes(32)

const from = { isInitiator: true, handshakeHash: crypto.randomBytes(64) }
const to = { isInitiator: true, handshakeHash: crypto.randomBytes(64) }

function keys () {
  const k = new Keys(main)
  assert.strictEqual(k.learn(JSON.stringify({ otherKeys: [other.toString('hex')] })), 1)
  return k
}

function encode (...parts) { // pairs of encoding and value
  const state = { start: 0, end: 0, buffer: null }
  for (const [enc, value] of parts) enc.preencode(state, value)
  state.buffer = Buffer.alloc(state.end)
  for (const [enc, value] of parts) enc.encode(state, value)
  return state.buffer
}

// open is type and payload of an open, with the capability that the far end of
// a stream would show.
function open (key, stream, protocol = 'hypercore/alpha') {
  return encode([c.uint, 1], [c.uint, 300], [c.string, protocol], [c.buffer, discoveryKey(key)],
    [c.uint, 1], [c.fixed32, caps.replicate(!stream.isInitiator, key, stream.handshakeHash)])
}

// shown is the same as the near end shows it.
function shown (key, stream) {
  return open(key, { ...stream, isInitiator: !stream.isInitiator })
}

function frame (message) {
  return Buffer.concat([Buffer.from([0]), message])
}

function batch (...messages) { // type and payload of a batch on channel 0
  return Buffer.concat([Buffer.from([0, 0]), ...messages.flatMap((m) => [encode([c.uint, m.length]), m])])
}

test('the capability of a known core is replaced', () => {
  for (const key of [main, other]) {
    const f = frame(open(key, from))
    assert.strictEqual(translate(f, from, to, keys()), false)
    assert.deepStrictEqual(f, frame(shown(key, to)))
  }
})

test('in a batch, and in a batch in a batch', () => {
  const data = encode([c.uint, 3], [c.fixed32, crypto.randomBytes(32)])
  const elsewhere = Buffer.concat([Buffer.from([0, 7]), encode([c.uint, data.length]), data, Buffer.from([0, 0])])
  const f = Buffer.concat([frame(batch(open(main, from))), elsewhere, batch(batch(open(other, from))).subarray(2)])
  const want = Buffer.concat([frame(batch(shown(main, to))), elsewhere, batch(batch(shown(other, to))).subarray(2)])
  assert.strictEqual(translate(f, from, to, keys()), false)
  assert.deepStrictEqual(f, want)
})

test('a wrong capability is not passed on', () => {
  const wrong = [
    open(main, to), // of another connection
    shown(main, from), // of the other role
    open(main, { ...from, handshakeHash: crypto.randomBytes(64) })
  ]
  for (const message of wrong) {
    for (const f of [frame(message), frame(batch(message)), frame(batch(batch(message)))]) {
      assert.throws(() => translate(f, from, to, keys()), /wrong capability/)
    }
  }
})

test('an unknown core is opened under an id of no core', () => {
  const k = keys()
  const f = frame(open(stranger, from))
  const before = Buffer.from(f)
  assert.strictEqual(translate(f, from, to, k), true)
  assert.ok(!f.includes(discoveryKey(stranger)))
  const at = before.indexOf(discoveryKey(stranger))
  const alias = Buffer.from(f.subarray(at, at + 32))
  assert.ok(!k.get(alias))
  discoveryKey(stranger).copy(f, at)
  assert.deepStrictEqual(f, before)
  translate(f, from, to, k)
  assert.deepStrictEqual(f.subarray(at, at + 32), alias)

  assert.strictEqual(k.learn(JSON.stringify({ otherKeys: [stranger.toString('hex')] })), 2)
  assert.strictEqual(translate(before, from, to, k), false)
})

test('everything else is passed on as it is', () => {
  const frames = [
    Buffer.alloc(0),
    frame(open(main, from, 'hypercore')),
    encode([c.uint, 5], [c.uint, 1], [c.uint, 300], [c.string, 'hypercore/alpha'], [c.buffer, discoveryKey(main)]),
    frame(encode([c.uint, 1], [c.uint, 1], [c.string, 'hypercore/alpha'], [c.uint, 0])), // no id
    frame(encode([c.uint, 2], [c.uint, 300])), // reject
    frame(encode([c.uint, 3], [c.uint, 300])) // close
  ]
  for (const f of frames) {
    const before = Buffer.from(f)
    assert.strictEqual(translate(f, from, to, keys()), false)
    assert.deepStrictEqual(f, before)
  }
})

test('a frame that was cut is passed on only where nothing was to be changed', () => {
  const whole = frame(batch(open(main, from)))
  for (let n = 1; n < whole.length; n++) {
    const f = Buffer.from(whole.subarray(0, n))
    try {
      translate(f, from, to, keys())
    } catch (err) {
      assert.match(err.message, /Out of bounds/)
      continue
    }
    assert.deepStrictEqual(f, whole.subarray(0, n))
  }
})

test('block 0 may hold anything', () => {
  for (const block of ['', 'null', '5', '{}', '{"otherKeys":5}', '{"otherKeys":[5,null,"xx"]}', Buffer.from([255, 0])]) {
    assert.strictEqual(new Keys(main).learn(block), 0)
  }
  const many = Array.from({ length: 3000 }, () => crypto.randomBytes(32).toString('hex'))
  assert.strictEqual(new Keys(main).learn(JSON.stringify({ otherKeys: many })), 1024)
})
