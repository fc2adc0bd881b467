package storagetest_test

import (
	"sync"
	"testing/synctest"

	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// paced is a Store whose flusher goes on only when the test says so, so that a
// seed gives the same run every time: a round waits before it syncs, and again
// before it commits. It belongs to a synctest bubble. With a bug set it does
// what a wrong program would.
type paced struct {
	storage.Store
	bug bug

	mu     sync.Mutex
	files  map[storage.ID]*pacedFiles
	open   bool                // rounds do not wait
	turn   bool                // a round that waited goes on, the test waits
	waits  chan struct{}       // closed to let the round that waits go on; nil where none waits
	round  map[storage.ID]bool // the cores of that round
	unsync []storage.Files     // what bug commitFirst has yet to sync
}

func newPaced(st storage.Store, b bug) *paced {
	return &paced{Store: st, bug: b, files: make(map[storage.ID]*pacedFiles)}
}

func (p *paced) Files(id storage.ID) storage.Files {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.files[id]
	if f == nil {
		f = &pacedFiles{Files: p.Store.Files(id), id: id, bug: p.bug, lost: make(map[uint64]merkle.Node)}
		p.files[id] = f
	}
	return f
}

// wait parks the flusher until the test lets it go on.
func (p *paced) wait() {
	p.mu.Lock()
	if p.open {
		p.mu.Unlock()
		return
	}
	ch := make(chan struct{})
	p.waits = ch
	p.mu.Unlock()
	<-ch
}

// SyncAll is called by the flusher alone, at the beginning of a round.
func (p *paced) SyncAll(list []storage.Files) []error {
	p.mu.Lock()
	p.round = make(map[storage.ID]bool)
	inner := make([]storage.Files, len(list))
	for i, f := range list {
		f := f.(*pacedFiles)
		p.round[f.id] = true
		inner[i] = f.Files
	}
	p.mu.Unlock()
	p.wait()
	errs := make([]error, len(list))
	if p.bug == commitFirst {
		p.unsync = list
		return errs
	}
	if len(list) >= 64 { // where the whole volume is synced
		return p.Store.SyncAll(inner)
	}
	for i, f := range list { // one after the other: the order is part of the seed
		errs[i] = f.Sync()
	}
	return errs
}

// Update waits where the flusher calls it.
func (p *paced) Update(fn func(storage.Tx) error) error {
	p.mu.Lock()
	turn := p.turn
	p.mu.Unlock()
	if turn {
		p.wait()
	}
	err := p.Store.Update(fn)
	for _, f := range p.unsync {
		if err == nil {
			err = f.Sync()
		}
	}
	p.unsync = nil
	return err
}

// step lets the round that waits go on to where it waits next, or to its end.
func (p *paced) step() {
	p.mu.Lock()
	p.turn = true
	p.release()
	p.mu.Unlock()
	synctest.Wait()
	p.mu.Lock()
	p.turn = false
	p.mu.Unlock()
}

// release is called with mu held.
func (p *paced) release() {
	if p.waits != nil {
		close(p.waits)
		p.waits = nil
	}
}

// freely runs fn, which waits for the flusher, while no round waits for the test.
func (p *paced) freely(fn func()) {
	p.mu.Lock()
	p.open = true
	p.release()
	p.mu.Unlock()
	fn()
	synctest.Wait()
	p.mu.Lock()
	p.open, p.round = false, nil
	p.mu.Unlock()
}

// idle says that no round is under way; busy that one has the core.
func (p *paced) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waits == nil
}

func (p *paced) busy(id storage.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waits != nil && p.round[id]
}

// bug is a mistake that is put in on purpose.
type bug string

const (
	none            bug = ""
	skipBlocksSync  bug = "the blocks file is not synced"
	skipTreeSync    bug = "the tree file is not synced"
	skipOneSync     bug = "one fdatasync in ten is not done"
	skipDirSync     bug = "the directories of new files are not synced"
	commitFirst     bug = "the head is committed before its blocks are synced"
	keepStaleNodes  bug = "nodes that span a cut are not zeroed"
	dropDeferred    bug = "nodes that were deferred are dropped by the sync"
	punchFirst      bug = "blocks are punched before it is committed that they are not held"
	unsyncedCutting bug = "a cut of the files is not synced"
)

// pacedFiles are Files with the mistakes that are about nodes.
type pacedFiles struct {
	storage.Files
	id  storage.ID
	bug bug

	mu   sync.Mutex
	lost map[uint64]merkle.Node // dropDeferred: those that nobody will write
	cut  bool                   // unsyncedCutting: the next Sync is the one that ends a cut
}

func (f *pacedFiles) forget(gone func(uint64) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for index := range f.lost {
		if gone(index) {
			delete(f.lost, index)
		}
	}
}

func (f *pacedFiles) Node(index uint64) (merkle.Node, bool, error) {
	f.mu.Lock()
	n, ok := f.lost[index]
	f.mu.Unlock()
	if ok {
		return n, true, nil
	}
	return f.Files.Node(index)
}

func (f *pacedFiles) DeferNodes(nodes []merkle.Node) error {
	if f.bug != dropDeferred {
		return f.Files.DeferNodes(nodes)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range nodes {
		f.lost[n.Index] = n
	}
	return nil
}

func (f *pacedFiles) WriteNodes(nodes []merkle.Node) error {
	f.forget(func(index uint64) bool {
		for _, n := range nodes {
			if n.Index == index {
				return true
			}
		}
		return false
	})
	return f.Files.WriteNodes(nodes)
}

func (f *pacedFiles) EraseNodes(indexes []uint64) error {
	if f.bug == keepStaleNodes {
		return nil
	}
	f.forget(func(index uint64) bool {
		for _, i := range indexes {
			if i == index {
				return true
			}
		}
		return false
	})
	return f.Files.EraseNodes(indexes)
}

func (f *pacedFiles) Cut(blocks int64, nodes uint64) error {
	f.cut = f.bug == unsyncedCutting
	f.forget(func(index uint64) bool { return index >= nodes })
	return f.Files.Cut(blocks, nodes)
}

func (f *pacedFiles) Sync() error {
	f.forget(func(uint64) bool { return true })
	if f.cut {
		f.cut = false
		return nil
	}
	return f.Files.Sync()
}

// lazyFS is an FS that leaves out syncs.
type lazyFS struct {
	storage.FS
	bug   bug
	syncs *int
}

func (l lazyFS) Open(name string, create bool) (storage.File, error) {
	f, err := l.FS.Open(name, create)
	if err != nil {
		return nil, err
	}
	return lazyFile{f, name, l}, nil
}

func (l lazyFS) SyncDir(name string) error {
	if l.bug == skipDirSync {
		return nil
	}
	return l.FS.SyncDir(name)
}

type lazyFile struct {
	storage.File
	name string
	fs   lazyFS
}

func (f lazyFile) Datasync() error {
	*f.fs.syncs++
	kind := f.name[len(f.name)-4:] // "tree" or "ocks"
	if f.fs.bug == skipBlocksSync && kind != "tree" || f.fs.bug == skipTreeSync && kind == "tree" ||
		f.fs.bug == skipOneSync && *f.fs.syncs%10 == 0 {
		return nil
	}
	return f.File.Datasync()
}
