// Package storagetest holds the tests that every storage.Store passes, an FS that
// fails on demand (Faults), and a Machine that loses power.
//
// The tests of the package run cores of every kind on a Machine through thousands
// of power cuts; -cuts 100000 is the long run, and -cut-seed gives one run again:
//
//	go test ./hypercore/storage/storagetest -run TestPowerCuts -timeout 0 -cuts 100000
package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// Run tests the Stores that open makes, each of them empty.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, storage.Store)
	}{
		{"Records", testRecords},
		{"Rollback", testRollback},
		{"Scan", testScan},
		{"RecordsModel", testRecordsModel},
		{"ReadOnly", testReadOnly},
		{"ConcurrentUpdates", testConcurrentUpdates},
		{"Blocks", testBlocks},
		{"Missing", testMissing},
		{"Nodes", testNodes},
		{"NodesModel", testNodesModel},
		{"EraseNodes", testEraseNodes},
		{"DeferNodes", testDeferNodes},
		{"Cut", testCut},
		{"Punch", testPunch},
		{"ManyCores", testManyCores},
		{"ConcurrentFiles", testConcurrentFiles},
		{"Closed", testClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			st := open(t)
			test.run(t, st)
			if err := st.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// ID is a test core's id.
func ID(i int) storage.ID { return storage.ID{0: byte(i), 1: byte(i >> 8), 31: 0xc0} }

// Node is a test node.
func Node(index uint64) merkle.Node {
	n := merkle.Node{Index: index, Size: index*3 + 1}
	copy(n.Hash[:], fmt.Sprintf("hash %d", index))
	return n
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func update(t *testing.T, st storage.Store, bucket string, fn func(storage.Bucket) error) {
	t.Helper()
	check(t, st.Update(func(tx storage.Tx) error { return fn(tx.Bucket(bucket)) }))
}

func get(t *testing.T, st storage.Store, bucket, key string) (value []byte) {
	t.Helper()
	check(t, st.View(func(tx storage.Tx) error {
		if v := tx.Bucket(bucket).Get([]byte(key)); v != nil {
			value = append([]byte{}, v...)
		}
		return nil
	}))
	return value
}

func wantNode(t *testing.T, f storage.Files, index uint64, want bool) {
	t.Helper()
	n, ok, err := f.Node(index)
	check(t, err)
	if ok != want {
		t.Fatalf("node %d: stored %v, want %v", index, ok, want)
	}
	if ok && n != Node(index) {
		t.Fatalf("node %d: got %v, want %v", index, n, Node(index))
	}
}

func wantBlocks(t *testing.T, f storage.Files, off int64, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := f.ReadBlocks(got, off)
	if err != nil && (err != io.EOF || n < len(want)) {
		t.Fatalf("read %d bytes at %d: got %d, %v", len(want), off, n, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("bytes at %d: got %q, want %q", off, got, want)
	}
}

func wantSizes(t *testing.T, f storage.Files, blocks int64, nodes uint64) {
	t.Helper()
	b, n, err := f.Sizes()
	check(t, err)
	if b != blocks || n != nodes {
		t.Fatalf("sizes: got %d bytes and %d nodes, want %d and %d", b, n, blocks, nodes)
	}
}

func testBlocks(t *testing.T, st storage.Store) {
	f := st.Files(ID(1))
	check(t, f.WriteBlocks([]byte("hello"), 0))
	check(t, f.WriteBlocks(nil, 100))
	wantSizes(t, f, 5, 0)
	check(t, f.WriteBlocks([]byte("world"), 10_000))
	wantSizes(t, f, 10_005, 0)
	wantBlocks(t, f, 0, []byte("hello\x00\x00"))
	wantBlocks(t, f, 9_998, []byte("\x00\x00world"))

	p := make([]byte, 8)
	if n, err := f.ReadBlocks(p, 10_001); n != 4 || err != io.EOF {
		t.Errorf("read over the end: got %d, %v, want 4, EOF", n, err)
	}
	if n, err := f.ReadBlocks(p, 20_000); n != 0 || err != io.EOF {
		t.Errorf("read beyond the end: got %d, %v, want 0, EOF", n, err)
	}
	check(t, f.Sync())
	wantBlocks(t, f, 10_000, []byte("world"))
	wantSizes(t, st.Files(ID(2)), 0, 0)
}

func testMissing(t *testing.T, st storage.Store) {
	f := st.Files(ID(1))
	if n, err := f.ReadBlocks(make([]byte, 1), 0); n != 0 || err != io.EOF {
		t.Errorf("read: got %d, %v, want 0, EOF", n, err)
	}
	wantNode(t, f, 0, false)
	wantSizes(t, f, 0, 0)
	check(t, f.Cut(0, 0))
	check(t, f.EraseNodes([]uint64{0, 7}))
	check(t, f.WriteNodes(nil))
	check(t, f.Sync())
	check(t, f.Reopen())
	wantSizes(t, f, 0, 0)
}

func testNodes(t *testing.T, st storage.Store) {
	f := st.Files(ID(1))
	in := []merkle.Node{Node(6), Node(5), Node(3), Node(0), Node(21), Node(4)}
	order := append([]merkle.Node{}, in...)
	check(t, f.WriteNodes(in))
	if !reflect.DeepEqual(in, order) {
		t.Error("WriteNodes changed its argument")
	}
	for i := range uint64(30) {
		wantNode(t, f, i, i == 0 || i >= 3 && i <= 6 || i == 21)
	}
	wantSizes(t, f, 0, 22)
	wantNode(t, f, merkle.MaxSize, false)
	wantNode(t, f, 1<<63, false)
	if err := f.WriteNodes([]merkle.Node{Node(merkle.MaxSize + 1)}); err == nil {
		t.Error("a node beyond the largest index was accepted")
	}
}

func testNodesModel(t *testing.T, st storage.Store) {
	f := st.Files(ID(1))
	r := rand.New(rand.NewPCG(1, 2))
	model := make(map[uint64]bool)
	for range 200 {
		var nodes []merkle.Node
		var erased []uint64
		for _, i := range r.Perm(64)[:r.IntN(20)] {
			nodes = append(nodes, Node(uint64(i)))
			model[uint64(i)] = true
		}
		check(t, f.WriteNodes(nodes))
		for _, i := range r.Perm(64)[:r.IntN(20)] {
			erased = append(erased, uint64(i))
			delete(model, uint64(i))
		}
		check(t, f.EraseNodes(erased))
		for i := range uint64(70) {
			wantNode(t, f, i, model[i])
		}
	}
}

// testDeferNodes: nodes that wait are there for every other operation, before and
// after they were written.
func testDeferNodes(t *testing.T, st storage.Store) {
	for _, sync := range []bool{false, true} {
		f := st.Files(ID(flag(sync)))
		check(t, f.WriteNodes([]merkle.Node{Node(4)}))
		other := Node(1)
		other.Size++
		check(t, f.DeferNodes([]merkle.Node{other, Node(3)}))
		check(t, f.DeferNodes([]merkle.Node{Node(9), Node(1), Node(6)})) // the last one counts
		check(t, f.WriteNodes([]merkle.Node{Node(6)}))
		if sync {
			check(t, f.Sync())
		}
		for i := range uint64(11) {
			wantNode(t, f, i, i == 1 || i == 3 || i == 4 || i == 6 || i == 9)
		}
		wantSizes(t, f, 0, 10)
		check(t, f.EraseNodes([]uint64{3, 6}))
		check(t, f.Cut(0, 8))
		check(t, f.Sync())
		for i := range uint64(11) {
			wantNode(t, f, i, i == 1 || i == 4)
		}
	}
	f := st.Files(ID(3))
	many := make([]merkle.Node, 10_000) // more than may wait
	for i := range many {
		many[i] = Node(uint64(7 * i))
	}
	check(t, f.DeferNodes(many))
	for i := range many {
		wantNode(t, f, uint64(7*i), true)
	}
	if err := f.DeferNodes([]merkle.Node{Node(merkle.MaxSize + 1)}); err == nil {
		t.Error("a node out of range was taken")
	}
}

func testPunch(t *testing.T, st storage.Store) {
	f := st.Files(ID(1))
	check(t, f.Punch(0, 10)) // no file yet
	data := make([]byte, 20_000)
	for i := range data {
		data[i] = 1 + byte(i%255)
	}
	check(t, f.WriteBlocks(data, 0))
	for _, hole := range [][2]int{{0, 0}, {3, 1}, {4096, 4096}, {9000, 5000}, {19_990, 10}, {19_995, 5000}, {30_000, 10}} {
		check(t, f.Punch(int64(hole[0]), int64(hole[1])))
		from, to := min(hole[0], len(data)), min(hole[0]+hole[1], len(data))
		clear(data[from:to])
		got := make([]byte, len(data)+1)
		if n, err := f.ReadBlocks(got, 0); n != len(data) || err != io.EOF || !bytes.Equal(got[:n], data) {
			t.Fatalf("after a hole of %d bytes at %d: %d bytes, %v", hole[1], hole[0], n, err)
		}
	}
	wantSizes(t, f, int64(len(data)), 0)
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 2
}

func testEraseNodes(t *testing.T, st storage.Store) {
	f := st.Files(ID(1))
	check(t, f.WriteNodes([]merkle.Node{Node(0), Node(1), Node(2), Node(3)}))
	erased := []uint64{500, 2, 1}
	check(t, f.EraseNodes(erased))
	if !reflect.DeepEqual(erased, []uint64{500, 2, 1}) {
		t.Error("EraseNodes changed its argument")
	}
	for i := range uint64(5) {
		wantNode(t, f, i, i == 0 || i == 3)
	}
	wantSizes(t, f, 0, 4)
}

func testCut(t *testing.T, st storage.Store) {
	f := st.Files(ID(1))
	check(t, f.WriteBlocks([]byte("0123456789"), 0))
	check(t, f.WriteNodes([]merkle.Node{Node(0), Node(1), Node(2)}))
	check(t, f.Cut(100, 100))
	wantSizes(t, f, 10, 3)
	check(t, f.Cut(4, 1))
	wantSizes(t, f, 4, 1)
	wantNode(t, f, 0, true)
	wantNode(t, f, 1, false)
	// What was cut is gone, also where the file grows over it again.
	check(t, f.WriteBlocks([]byte("z"), 9))
	wantBlocks(t, f, 0, []byte("0123\x00\x00\x00\x00\x00z"))
	check(t, f.WriteNodes([]merkle.Node{Node(2)}))
	wantNode(t, f, 1, false)
	if err := f.Cut(-1, 0); err == nil {
		t.Error("a cut at byte -1 was accepted")
	}
}

// testManyCores uses more cores than there are descriptors.
func testManyCores(t *testing.T, st storage.Store) {
	const cores = 50
	for round := range 3 {
		for i := range cores {
			f := st.Files(ID(i))
			check(t, f.WriteBlocks([]byte{byte(i), byte(round)}, int64(2*round)))
			check(t, f.WriteNodes([]merkle.Node{Node(uint64(round))}))
		}
	}
	for i := range cores {
		f := st.Files(ID(i))
		wantBlocks(t, f, 0, []byte{byte(i), 0, byte(i), 1, byte(i), 2})
		wantNode(t, f, 2, true)
		check(t, f.Sync())
	}
}

func testConcurrentFiles(t *testing.T, st storage.Store) {
	const workers, rounds = 8, 60
	var wg sync.WaitGroup
	errs := make(chan error, workers)
	for w := range workers {
		wg.Go(func() {
			errs <- func() error {
				for round := range rounds {
					f := st.Files(ID(round % 12)) // the same cores for all, at their own places
					at := int64(w*rounds + round)
					if err := f.WriteBlocks([]byte{byte(w + 1)}, at); err != nil {
						return err
					}
					if err := f.WriteNodes([]merkle.Node{Node(uint64(at))}); err != nil {
						return err
					}
					var p [1]byte
					if _, err := f.ReadBlocks(p[:], at); err != nil && err != io.EOF {
						return err
					}
					n, ok, err := f.Node(uint64(at))
					if err != nil || !ok || n != Node(uint64(at)) || p[0] != byte(w+1) {
						return fmt.Errorf("worker %d round %d: read %d, %v %v %v", w, round, p[0], n, ok, err)
					}
					if round%10 == 0 {
						if err := f.Sync(); err != nil {
							return err
						}
					}
				}
				return nil
			}()
		})
	}
	wg.Wait()
	for range workers {
		check(t, <-errs)
	}
}

func testClosed(t *testing.T, st storage.Store) {
	f := st.Files(ID(1))
	check(t, f.WriteBlocks([]byte("x"), 0))
	check(t, st.Close())
	check(t, st.Close())
	for name, err := range map[string]error{
		"view":   st.View(func(storage.Tx) error { return nil }),
		"update": st.Update(func(storage.Tx) error { return nil }),
		"write":  f.WriteBlocks([]byte("y"), 0),
	} {
		if !errors.Is(err, storage.ErrClosed) {
			t.Errorf("%s after close: got %v, want ErrClosed", name, err)
		}
	}
}
