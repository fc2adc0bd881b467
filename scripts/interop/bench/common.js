// What the programs of the benchmarks share: a line of JSON says what to do,
// words say when, lines of JSON are the answer (scripts/bench/doc.go).
const fs = require('fs')
const net = require('net')
const readline = require('readline')
const Corestore = require('corestore')

const POOL = 8 << 20
const STRIDE = 1000003

// blocks makes the payload as scripts/bench/spec.go does.
class Blocks {
  constructor (file, size) {
    this.pool = fs.readFileSync(file)
    this.size = size
    if (this.pool.length !== POOL) throw new Error(`pool of ${this.pool.length} bytes`)
  }

  get (i) {
    const at = i * STRIDE % (POOL - this.size)
    const block = Buffer.from(this.pool.subarray(at, at + this.size)) // a copy
    if (this.size >= 8) block.writeBigUInt64LE(BigInt(i))
    return block
  }

  range (from, to) {
    const list = []
    for (let i = from; i < to; i++) list.push(this.get(i))
    return list
  }

  check (block, i) {
    if (block.length !== this.size) throw new Error(`block ${i} has ${block.length} bytes`)
    if (this.size >= 8 && block.readBigUInt64LE() !== BigInt(i)) throw new Error(`block ${i} is another`)
  }
}

// run gives the spec and the words of standard input to main, which answers
// with say; the process ends with its input.
function run (main) {
  const words = []
  let wake = () => {}
  let spec = null
  const lines = readline.createInterface({ input: process.stdin })
  const say = (reply) => process.stdout.write(JSON.stringify(reply) + '\n')
  const next = async () => {
    while (words.length === 0) await new Promise((resolve) => { wake = resolve })
    return words.shift()
  }
  const fail = (err) => {
    say({ error: err.message })
    console.error(err)
    process.exit(1)
  }
  lines.on('line', (line) => {
    if (spec === null) {
      spec = JSON.parse(line)
      main(spec, { say, next }).catch(fail)
    } else {
      words.push(line)
      wake()
    }
  })
  lines.on('close', () => process.exit(0))
}

// attach replicates a store over a socket. Without a delay of small packets,
// which would only slow the packages down.
function attach (store, socket, isInitiator) {
  socket.setNoDelay(true)
  const stream = store.replicate(isInitiator)
  stream.on('error', (err) => console.error('stream:', err.message))
  socket.on('error', (err) => console.error('socket:', err.message))
  stream.pipe(socket).pipe(stream)
}

function listen (store) {
  const server = net.createServer((socket) => attach(store, socket, false))
  return new Promise((resolve, reject) => {
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(`127.0.0.1:${server.address().port}`))
  })
}

function dial (store, addr) {
  const at = addr.lastIndexOf(':')
  attach(store, net.connect(Number(addr.slice(at + 1)), addr.slice(0, at)), true)
}

// monotonic is the clock that all processes of the machine share, nanoseconds.
const monotonic = () => process.hrtime.bigint()

// since gives the seconds from a time of monotonic.
const since = (start) => Number(monotonic() - start) / 1e9

// latencies gives percentiles of seconds in milliseconds.
function latencies (seconds) {
  seconds.sort((a, b) => a - b)
  const at = (p) => seconds[Math.floor(p * (seconds.length - 1))] * 1e3
  return { p50: at(0.5), p99: at(0.99) }
}

module.exports = { Blocks, Corestore, run, listen, dial, monotonic, since, latencies }
