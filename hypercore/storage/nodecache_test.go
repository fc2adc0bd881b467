package storage_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// TestNodeCache: whatever is written, erased, cut, failed and reopened, the
// nodes that are read are those of the file. The cores and the stretches are so
// many that they take each other's slots.
func TestNodeCache(t *testing.T) {
	t.Parallel()
	var deny bool
	denied := errors.New("denied")
	fsys := &storagetest.Faults{FS: storage.MemoryFS()}
	fsys.Hook(func(op storagetest.Op, name string) error {
		if deny && op == storagetest.Write && strings.HasSuffix(name, "tree") {
			return denied
		}
		return nil
	})
	st := storage.MemoryOn(fsys)
	defer st.Close()
	const cores, far = 3, 1500
	files := make([]storage.Files, cores)
	model := make([]map[uint64]merkle.Node, cores)
	for i := range files {
		files[i], model[i] = st.Files(storagetest.ID(i)), make(map[uint64]merkle.Node)
	}
	r := rand.New(rand.NewPCG(1, 2))
	index := func() uint64 { return r.Uint64N(far)*128*uint64(r.IntN(2)) + r.Uint64N(300) }
	for step := range 20_000 {
		c := r.IntN(cores)
		switch kind := r.IntN(100); {
		case kind < 40:
			first := index()
			var nodes []merkle.Node
			for i := range 1 + r.Uint64N(200) {
				nodes = append(nodes, merkle.Node{Index: first + i, Size: uint64(step), Hash: merkle.Hash{1}})
			}
			deny = kind == 0
			err := files[c].WriteNodes(nodes)
			if deny {
				if deny = false; !errors.Is(err, denied) {
					t.Fatalf("got %v, want the error of the write", err)
				}
				continue
			}
			check(t, err)
			for _, n := range nodes {
				model[c][n.Index] = n
			}
		case kind < 50:
			at := index()
			check(t, files[c].EraseNodes([]uint64{at, at + 1}))
			delete(model[c], at)
			delete(model[c], at+1)
		case kind == 50:
			at := index()
			check(t, files[c].Cut(0, at))
			for n := range model[c] {
				if n >= at {
					delete(model[c], n)
				}
			}
		case kind == 51:
			check(t, files[c].Reopen())
		default:
			at := index()
			got, ok, err := files[c].Node(at)
			check(t, err)
			if want, has := model[c][at]; ok != has || got != want {
				t.Fatalf("step %d, core %d, node %d: got %v, %v, want %v, %v", step, c, at, got, ok, want, has)
			}
		}
	}
}

// TestNodeCacheConcurrent: once a write has returned nobody reads what was
// there before, though others fill and take the slot all the time.
func TestNodeCacheConcurrent(t *testing.T) {
	t.Parallel()
	st := storage.MemoryOn(storage.MemoryFS())
	defer st.Close()
	f := st.Files(storagetest.ID(1))
	var group sync.WaitGroup
	stop := make(chan struct{})
	for seed := range uint64(2) {
		group.Go(func() {
			r := rand.New(rand.NewPCG(seed, 0))
			last := uint64(0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				f.Node(r.Uint64N(4000) * 128)
				n, _, err := f.Node(7)
				if err != nil || n.Size < last {
					t.Errorf("got size %d after %d, %v", n.Size, last, err)
					return
				}
				last = n.Size
			}
		})
	}
	for size := range uint64(20_000) {
		check(t, f.WriteNodes([]merkle.Node{{Index: 7, Size: size + 1, Hash: merkle.Hash{1}}}))
		if n, _, err := f.Node(7); n.Size != size+1 || err != nil {
			t.Fatalf("got size %d, %v, want %d", n.Size, err, size+1)
		}
	}
	close(stop)
	group.Wait()
}
