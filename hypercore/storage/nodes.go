package storage

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"multicore/hypercore/merkle"
)

// A node in the file tree, at nodeSize times its index:
//
//	sum 11 bits, size 53 bits: one u64, little-endian, sum on top | hash 32 bytes
//
// The sum is never 0. It is there because nodes lie across sectors and pages: a
// power cut may keep the hash and lose the size, or half of the hash. Such a
// node reads as absent; with a wrong size it would misplace blocks.
const (
	nodeSize = 40
	sizeBits = 53
)

// nodeOffset is where a node stands; an error beyond what peers could represent.
func nodeOffset(index uint64) (int64, error) {
	if index > merkle.MaxSize {
		return 0, fmt.Errorf("node index %d is over %d", index, uint64(merkle.MaxSize))
	}
	return int64(index) * nodeSize, nil
}

func putNode(b []byte, n *merkle.Node) {
	binary.LittleEndian.PutUint64(b, n.Size)
	copy(b[8:nodeSize], n.Hash[:])
	binary.LittleEndian.PutUint64(b, n.Size|nodeSum(b)<<sizeBits)
}

// getNode reads what putNode wrote; false for anything else. It changes b.
func getNode(b []byte, index uint64) (merkle.Node, bool) {
	first := binary.LittleEndian.Uint64(b)
	n := merkle.Node{Index: index, Size: first & merkle.MaxSize, Hash: merkle.Hash(b[8:nodeSize])}
	if n.Hash == (merkle.Hash{}) || first>>sizeBits == 0 {
		return merkle.Node{}, false
	}
	binary.LittleEndian.PutUint64(b, n.Size)
	if nodeSum(b) != first>>sizeBits {
		return merkle.Node{}, false
	}
	return n, true
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// nodeSum is the sum of a node whose bits for it are zero: 1 to 2047.
func nodeSum(b []byte) uint64 { return 1 + uint64(crc32.Checksum(b[:nodeSize], castagnoli)%2047) }

// nodeBuffers are reused, as a buffer that is handed to a File escapes.
var nodeBuffers = sync.Pool{New: func() any { return new([]byte) }}

func nodeBuffer(n int) *[]byte {
	buf := nodeBuffers.Get().(*[]byte)
	*buf = slices.Grow((*buf)[:0], n)[:n]
	return buf
}

func (c *core) Node(index uint64) (merkle.Node, bool, error) {
	if index > merkle.MaxSize {
		return merkle.Node{}, false, nil // nobody can have stored it
	}
	if n, ok := c.deferred.get(index); ok {
		return n, true, nil
	}
	return c.files.nodes.read(c, index)
}

func checkNodes(nodes []merkle.Node) error {
	for i := range nodes {
		if nodes[i].Size > merkle.MaxSize {
			return fmt.Errorf("size %d of node %d is over %d", nodes[i].Size, nodes[i].Index, uint64(merkle.MaxSize))
		}
		if _, err := nodeOffset(nodes[i].Index); err != nil {
			return err
		}
	}
	return nil
}

func (c *core) WriteNodes(nodes []merkle.Node) error {
	if err := checkNodes(nodes); err != nil {
		return err
	}
	byIndex := func(a, b merkle.Node) int { return cmp.Compare(a.Index, b.Index) }
	if !slices.IsSortedFunc(nodes, byIndex) {
		nodes = slices.Clone(nodes)
		slices.SortFunc(nodes, byIndex)
	}
	c.nodesMu.Lock()
	defer c.nodesMu.Unlock()
	defer c.deferred.drop(len(nodes), func(i int) uint64 { return nodes[i].Index })
	return c.writeNodes(nodes)
}

// writeNodes writes nodes with rising indexes. c.nodesMu is held.
func (c *core) writeNodes(nodes []merkle.Node) error {
	return c.writeRuns(len(nodes), func(i int) uint64 { return nodes[i].Index },
		func(b []byte, i int) { putNode(b, &nodes[i]) })
}

func (c *core) EraseNodes(indexes []uint64) error {
	c.nodesMu.Lock()
	defer c.nodesMu.Unlock()
	c.deferred.drop(len(indexes), func(i int) uint64 { return indexes[i] })
	size, err := c.tree.size()
	if err != nil {
		return err
	}
	indexes = slices.Clone(indexes)
	slices.Sort(indexes)
	stored := uint64(size+nodeSize-1) / nodeSize
	end, _ := slices.BinarySearch(indexes, stored)
	indexes = indexes[:end]
	return c.writeRuns(len(indexes), func(i int) uint64 { return indexes[i] },
		func(b []byte, _ int) { clear(b[:nodeSize]) })
}

// writeRuns writes n nodes with rising indexes, each run of adjacent ones at
// once. c.nodesMu is held.
func (c *core) writeRuns(n int, index func(int) uint64, put func([]byte, int)) error {
	if n == 0 {
		return nil
	}
	buf := nodeBuffer(n * nodeSize)
	defer nodeBuffers.Put(buf)
	start := 0
	for i := range n {
		put((*buf)[i*nodeSize:], i)
		if i+1 < n && index(i+1) == index(i)+1 {
			continue
		}
		run := (*buf)[start*nodeSize : (i+1)*nodeSize]
		err := c.tree.writeAt(run, int64(index(start))*nodeSize)
		c.files.nodes.wrote(c, run, index(start), err != nil)
		if err != nil {
			return err
		}
		start = i + 1
	}
	return nil
}
