package main

import (
	"encoding/binary"
	"fmt"
	"os"
)

// spec says what a child does; see the fields' names in scripts/interop/bench.
type spec struct {
	Role      string   `json:"role"` // fill, writer, reader, local, bare-writer, bare-reader, bare-local, bare-mount
	Task      string   `json:"task"` // of the case: what is done when told to go
	Dir       string   `json:"dir"`  // the store, on disk
	Pool      string   `json:"pool"` // file of random bytes that blocks are cut from
	Transport string   `json:"transport,omitempty"`
	Addr      string   `json:"addr,omitempty"`    // of the writer
	Warm      string   `json:"warm,omitempty"`    // key of the core to warm up with
	Keys      []string `json:"keys,omitempty"`    // of the cores to replicate
	Count     int      `json:"count"`             // blocks of a core
	Size      int      `json:"size"`              // bytes of a block
	Cores     int      `json:"cores"`             // how many, where there are many
	Samples   int      `json:"samples"`           // of what is measured one by one
	Inflight  int      `json:"inflight"`          // at a time
	WarmCount int      `json:"warmCount"`         // blocks to warm up with
	File      string   `json:"file,omitempty"`    // that a bare mount shows
	Profile   string   `json:"profile,omitempty"` // file to write a processor profile to; ours only
}

// reply is a line that a child prints.
type reply struct {
	Event  string             `json:"event"` // ready, done
	Error  string             `json:"error,omitempty"`
	Addr   string             `json:"addr,omitempty"`
	Keys   []string           `json:"keys,omitempty"`
	Warm   string             `json:"warm,omitempty"`
	Hash   string             `json:"hash,omitempty"` // of the core's tree
	Values map[string]float64 `json:"values,omitempty"`
}

// Words that a child is told.
const (
	wordGo     = "go"
	wordAppend = "append"
)

// Ways to send bytes.
const (
	overLibp2p = "libp2p"
	overTCP    = "tcp"
)

// poolSize and poolStride make the blocks of the JavaScript programs too.
const (
	poolSize   = 8 << 20
	poolStride = 1_000_003
)

// blocks makes the payload: block i is a piece of the pool that begins with i,
// so that no two are the same and compression finds nothing.
type blocks struct {
	pool []byte
	size int
}

func newBlocks(pool string, size int) (*blocks, error) {
	b, err := os.ReadFile(pool)
	if err != nil {
		return nil, err
	}
	if len(b) != poolSize || size > poolSize/2 {
		return nil, fmt.Errorf("pool of %d bytes for blocks of %d, want %d", len(b), size, poolSize)
	}
	return &blocks{pool: b, size: size}, nil
}

// put writes block i to p, which has the size of a block.
func (b *blocks) put(p []byte, i int) {
	at := i * poolStride % (poolSize - b.size)
	copy(p, b.pool[at:at+b.size])
	if b.size >= 8 {
		binary.LittleEndian.PutUint64(p, uint64(i))
	}
}

// make gives blocks [from, to).
func (b *blocks) make(from, to int) [][]byte {
	all := make([]byte, (to-from)*b.size)
	list := make([][]byte, to-from)
	for i := range list {
		list[i] = all[i*b.size : (i+1)*b.size]
		b.put(list[i], from+i)
	}
	return list
}

// check says whether p can be block i.
func (b *blocks) check(p []byte, i int) error {
	if len(p) != b.size {
		return fmt.Errorf("block %d has %d bytes, want %d", i, len(p), b.size)
	}
	if got := i; b.size >= 8 {
		got = int(binary.LittleEndian.Uint64(p))
		if got != i {
			return fmt.Errorf("block %d is block %d", i, got)
		}
	}
	return nil
}
