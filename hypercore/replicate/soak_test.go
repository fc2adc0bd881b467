package replicate

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"multicore/hypercore"
)

// Four readers, a writer that goes on appending, streams that are cut at random:
// in the end each reader has everything, and nobody was blamed.
func TestSoak(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	nodes := []*node{newNode(t, "writer")}
	core := nodes[0].own("core")
	nodes[0].swarm.Attach(core, AttachOptions{})
	var replicas []*hypercore.Core
	for i := range 4 {
		n := newNode(t, fmt.Sprint("reader ", i))
		nodes = append(nodes, n)
		c, _ := n.replica(core.Key(), AttachOptions{Download: i%2 == 0})
		replicas = append(replicas, c)
	}
	up := make(map[[2]int]*link)
	length := 0
	for range 60 {
		i, j := rnd.IntN(len(nodes)), rnd.IntN(len(nodes))
		if i > j {
			i, j = j, i
		}
		if pair := [2]int{i, j}; i != j {
			if l := up[pair]; l != nil {
				l.cut()
				delete(up, pair)
			} else {
				up[pair] = connect(t, nodes[i], nodes[j])
			}
		}
		for range rnd.IntN(5) {
			blocks := make([][]byte, 1+rnd.IntN(40))
			for k := range blocks {
				blocks[k] = fmt.Appendf(nil, "block %d", length+k)
			}
			nodes[0].add(core, blocks...)
			length += len(blocks)
		}
	}
	for i := range nodes {
		for j := range i {
			if up[[2]int{j, i}] == nil {
				up[[2]int{j, i}] = connect(t, nodes[j], nodes[i])
			}
		}
	}
	for i, c := range replicas {
		until(t, c, "the head", func(n hypercore.Info) bool { return n.Length == uint64(length) })
		if i%2 == 0 {
			until(t, c, "all blocks", func(n hypercore.Info) bool { return n.Contiguous == uint64(length) })
		}
		for range 50 {
			k := rnd.Uint64N(uint64(length))
			get(t, c, k, fmt.Sprintf("block %d", k))
		}
	}
	for _, n := range nodes {
		if k := n.logged.count("dropped"); k != 0 {
			t.Errorf("%s dropped %d peers: %v", n.name, k, n.logged.lines)
		}
	}
}
