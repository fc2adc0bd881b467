package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"multicore/cmd/multicore/control"
	"multicore/corestore/multicore"
	"multicore/hypercore"
	"multicore/hypercore/storage"
)

// start opens a node on a store of its own. Those with peers speak on loopback,
// to the addresses given.
func start(t *testing.T, network bool, peers ...string) *Node {
	t.Helper()
	o := Options{Dir: t.TempDir(), Create: true}
	if network {
		o.Network = &Network{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, DHT: "off", Peers: peers}
	}
	n, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func addr(t *testing.T, n *Node) string {
	t.Helper()
	st, err := n.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st.Node.Addrs[0]
}

// stranger is the key of a multicore that nobody here has.
func stranger(b byte) hypercore.Key {
	var k hypercore.Key
	copy(k[:], bytes.Repeat([]byte{b}, len(k)))
	return k
}

// A followed multicore whose records are damaged is named in the log and shown
// without cores; the store opens and the others are served.
func TestDamagedFollowed(t *testing.T) {
	bad, good := stranger(7), stranger(9)
	o := Options{Dir: t.TempDir(), Create: true, Network: &Network{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, DHT: "off"}}
	n, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []hypercore.Key{bad, good} {
		if err := n.Follow(t.Context(), control.FollowRequest{Key: key.String()}, untold); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := storage.Open(o.Dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	id := bad.Discovery()
	if err := st.Update(func(tx storage.Tx) error { return tx.Bucket("core").Put(id[:], []byte("damaged")) }); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	if n, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if said := log.String(); !strings.Contains(said, bad.Discovery().String()) || strings.Contains(said, bad.String()) || strings.Contains(said, good.Discovery().String()) {
		t.Errorf("log says: %s", log.String())
	}
	list, err := n.List(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%d followed, %v", len(list), err)
	}
	for _, f := range list {
		if want := f.Key == good.String(); want != (len(f.Cores) > 0) {
			t.Errorf("%s has %d cores", f.Key, len(f.Cores))
		}
	}
}

// The list of the followed in the store and what is downloaded are one thing,
// whoever follows and unfollows at the same time.
func TestFollowAndUnfollowAtOnce(t *testing.T) {
	n := start(t, true)
	key := stranger(7)
	for range 20 {
		var work sync.WaitGroup
		for i := range 8 {
			work.Go(func() {
				var err error
				if i%2 == 0 {
					err = n.Follow(t.Context(), control.FollowRequest{Key: key.String()}, untold)
				} else if _, err = n.Unfollow(t.Context(), key.String()); control.CodeOf(err) == control.NotFound {
					err = nil
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
		list, err := multicore.List(n.store)
		if err != nil {
			t.Fatal(err)
		}
		n.mu.Lock()
		open := n.remotes[key] != nil
		n.mu.Unlock()
		if listed, kept := len(list) == 1, n.followed[key].stop != nil; listed != kept || listed != open {
			t.Fatalf("on the list: %v, downloaded: %v, open: %v", listed, kept, open)
		}
	}
}

// A bad name is the user's mistake, a full disk is not.
func TestFollowErrors(t *testing.T) {
	n := start(t, false)
	if err := n.Follow(t.Context(), control.FollowRequest{Key: stranger(1).String(), Name: "No"}, untold); control.CodeOf(err) != control.Usage {
		t.Errorf("bad name: %v, code %d", err, control.CodeOf(err))
	}
	if code := control.CodeOf(coded(fmt.Errorf("list: %w", syscall.ENOSPC))); code != control.DiskFull {
		t.Errorf("full disk: code %d", code)
	}
}

// Many openings and closings of one multicore at once leave nothing open.
func TestAcquireAtOnce(t *testing.T) {
	n := start(t, true)
	var work sync.WaitGroup
	for i := range 16 {
		work.Go(func() {
			for range 20 {
				r, release, err := n.acquire(stranger(byte(i % 3)))
				if err != nil {
					t.Error(err)
					return
				}
				if cores, _ := r.Known(); len(cores) != 1 {
					t.Errorf("%d cores", len(cores))
				}
				release()
				release()
			}
		})
	}
	work.Wait()
	if len(n.remotes) != 0 {
		t.Errorf("%d are still open", len(n.remotes))
	}
}

// What a read that ends early had under way ends with it.
func TestReadLeavesNothingBehind(t *testing.T) {
	a := start(t, true)
	line := strings.Repeat("x", 64<<10) + "\n"
	if _, err := a.Append(t.Context(), control.AppendRequest{}, strings.NewReader(strings.Repeat(line, 100))); err != nil {
		t.Fatal(err)
	}
	b := start(t, true, addr(t, a))
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := b.Read(ctx, control.ReadRequest{Path: a.current().Key().String() + "/core-3"}, func(it control.Item) error {
		if it.Block != nil {
			return enough
		}
		return nil
	})
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if !errors.Is(err, enough) {
		t.Fatalf("got %v, want the error of emit", err)
	}
	if bytes.Contains(stacks, []byte("node.(*reader)")) {
		t.Errorf("the read still works:\n%s", stacks)
	}
}

// A peer that knows the key but has nothing is not asked over and over.
func TestReadWaitsForWhoKnows(t *testing.T) {
	key := stranger(9)
	a := start(t, true)
	if err := a.Follow(t.Context(), control.FollowRequest{Key: key.String()}, untold); err != nil {
		t.Fatal(err)
	}
	b := start(t, true, addr(t, a))
	const wait = 2 * time.Second
	before := cpu(t)
	err := b.Read(t.Context(), control.ReadRequest{Path: key.String() + "/main", Timeout: wait}, func(control.Item) error { return nil })
	if control.CodeOf(err) != control.Timeout || !strings.Contains(err.Error(), "no peer has "+key.String()) {
		t.Errorf("got %v", err)
	}
	if used := cpu(t) - before; used > wait/2 {
		t.Errorf("%v of CPU in a wait of %v", used, wait)
	}
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A store whose own core is damaged is refused with the exit code for that.
func TestOpenDamaged(t *testing.T) {
	dir := t.TempDir()
	n, err := Open(t.Context(), Options{Dir: dir, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Append(t.Context(), control.AppendRequest{}, strings.NewReader("hello\nworld\n")); err != nil {
		t.Fatal(err)
	}
	id := n.current().Main().DiscoveryKey().String()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "cores", id, "tree"), 0); err != nil {
		t.Fatal(err)
	}
	n, err = Open(t.Context(), Options{Dir: dir})
	if err == nil {
		n.Close()
	}
	if control.CodeOf(err) != control.Verify {
		t.Errorf("got %v, code %d, want %d", err, control.CodeOf(err), control.Verify)
	}
}

// Once Unmount has returned the mount is not listed any more.
func TestUnmountUnlists(t *testing.T) {
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil || os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root and /dev/fuse")
		}
		t.Skip("needs root and /dev/fuse")
	} else {
		f.Close()
	}
	n := start(t, false)
	for range 5 {
		m, err := n.mount(t.Context(), control.MountRequest{Path: filepath.Join(t.TempDir(), "mnt")})
		if err != nil {
			t.Fatal(err)
		}
		if ends, err := n.Unmount(t.Context(), m.Path()); err != nil || !ends {
			t.Fatal(ends, err)
		}
		st, err := n.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(st.Mounts) != 0 {
			t.Fatalf("still listed: %+v", st.Mounts)
		}
	}
}

// untold is for a follow whose progress does not matter.
func untold(control.Following) error { return nil }
