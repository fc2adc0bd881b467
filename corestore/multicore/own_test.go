package multicore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"multicore/corestore"
	"multicore/hypercore"
)

// openStore opens the store in dir, which it makes, until the test ends.
func openStore(t *testing.T, dir string, primary *[32]byte) *corestore.Store {
	t.Helper()
	st, err := corestore.Open(dir, corestore.Options{Create: true, PrimaryKey: primary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return st
}

// makeOwn makes or opens the own multicore of st, until the test ends.
func makeOwn(t *testing.T, st *corestore.Store, sw Swarm) *Own {
	t.Helper()
	own, err := OpenOwn(t.Context(), st, sw, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Errorf("close multicore: %v", err)
		}
	})
	return own
}

// blocks gives all blocks of a core, which are held.
func blocks(t *testing.T, c *hypercore.Core) []string {
	t.Helper()
	var out []string
	for i := range c.Info().Length {
		b, err := c.Block(i)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

func expectBlocks(t *testing.T, name string, c *hypercore.Core, want ...string) {
	t.Helper()
	if got := blocks(t, c); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Fatalf("%s holds %q, want %q", name, got, want)
	}
}

func TestOwnIndex(t *testing.T) {
	primary := [32]byte{}
	for i := range primary {
		primary[i] = byte(i)
	}
	dir := t.TempDir()
	st := openStore(t, dir, &primary)
	if _, err := OpenOwn(t.Context(), st, nil, false); !errors.Is(err, ErrNoMulticore) || HasOwn(st) {
		t.Fatalf("without a multicore: %v, want %v", err, ErrNoMulticore)
	}
	own := makeOwn(t, st, nil)
	// The keys of the cores that the JavaScript corestore derives from that primary key.
	if got := own.Key().String(); got != "bb8dc4325cabb3c3a018556105f3305348d0cef3878992576f18fbcfa1517244" {
		t.Fatalf("main is %s", got)
	}
	cores, complete := own.Known()
	if !complete || len(cores) != 3 || cores[0].Name != "main" || cores[1].Name != "core-2" || cores[2].Name != "core-3" {
		t.Fatalf("cores are %v, complete %t", cores, complete)
	}
	index := fmt.Sprintf(`{"otherKeys":["%s","%s"]}`, cores[1].Core.Key(), cores[2].Core.Key())
	if len(index) != 149 || !strings.Contains(index, "bbffc7acfa562e1fd3090d821aa2685e369b57d503c399960c0510e5793ca6b2") {
		t.Fatalf("index of %d bytes: %s", len(index), index)
	}
	for range 3 {
		again := makeOwn(t, st, nil)
		expectBlocks(t, "main", again.Main(), index)
		if err := errors.Join(again.Close(), again.Close()); err != nil {
			t.Fatal(err)
		}
	}
	// A store that got its primary key signs the index, and nothing else.
	if info := own.Main().Info(); !info.Held || info.Durable != 1 || own.Main().Head().Length != 1 {
		t.Fatalf("main of a held store: %+v, head %d, want the index signed", info, own.Main().Head().Length)
	}
	if err := own.Append(t.Context(), "", [][]byte{[]byte("hello\n")}); err != nil {
		t.Fatal(err)
	}
	if err := own.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := cores[2].Core.Head().Length; got != 0 {
		t.Fatalf("a held store signed %d blocks of core-3", got)
	}
	if err := errors.Join(own.Close(), st.Close()); err != nil {
		t.Fatal(err)
	}
	st = openStore(t, dir, nil)
	own, err := OpenOwn(t.Context(), st, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	expectBlocks(t, "main after reopening", own.Main(), index)
	expectBlocks(t, "core-3 after reopening", own.cores[placeLong].Core, "hello\n")
}

// TestOwnAfterCrash leaves a store as a crash may while its multicore is made.
func TestOwnAfterCrash(t *testing.T) {
	for made := 1; made <= 3; made++ {
		st := openStore(t, t.TempDir(), nil)
		for i := range made {
			c, err := st.OpenName(corestore.Namespace{}, storeName(i), 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		own, err := OpenOwn(t.Context(), st, nil, false)
		if err != nil {
			t.Fatalf("with %d cores made: %v", made, err)
		}
		if got := blocks(t, own.Main()); len(got) != 1 || len(got[0]) != 149 {
			t.Fatalf("with %d cores made main holds %q", made, got)
		}
		if err := own.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOwnForeignMain(t *testing.T) {
	st := openStore(t, t.TempDir(), nil)
	c, err := st.OpenName(corestore.Namespace{}, storeName(placeMain), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append(t.Context(), []byte("something else")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenOwn(t.Context(), st, nil, true); !errors.Is(err, ErrForeignMain) {
		t.Fatalf("OpenOwn = %v, want %v", err, ErrForeignMain)
	}
	expectBlocks(t, "main", c.Core, "something else")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOwnTwiceAtOnce makes it from many goroutines: there is one block 0.
func TestOwnTwiceAtOnce(t *testing.T) {
	st := openStore(t, t.TempDir(), nil)
	opened := make(chan error)
	for range 8 {
		go func() {
			own, err := OpenOwn(t.Context(), st, nil, true)
			if err == nil {
				err = own.Close()
			}
			opened <- err
		}()
	}
	for range 8 {
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
	own := makeOwn(t, st, nil)
	if got := own.Main().Info().Length; got != 1 {
		t.Fatalf("main has %d blocks, want 1", got)
	}
}

func TestAppendRoutes(t *testing.T) {
	st := openStore(t, t.TempDir(), nil)
	own := makeOwn(t, st, nil)
	f := own.NewFramer(FramerOptions{})
	buf := []byte("hi\nabc\n\né\nabcd\nhello\nwxyz")
	if n, err := f.Write(t.Context(), buf); err != nil || n != len(buf) {
		t.Fatalf("Write = %d, %v", n, err)
	}
	clear(buf)
	if err := f.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	short, long := own.cores[placeShort].Core, own.cores[placeLong].Core
	expectBlocks(t, "core-2", short, "hi\n", "abc\n", "\n", "é\n", "wxyz")
	expectBlocks(t, "core-3", long, "abcd\n", "hello\n")

	for _, core := range []string{"core-2", "core-3", "main", "core-1"} {
		f := own.NewFramer(FramerOptions{Core: core})
		if _, err := f.Write(t.Context(), []byte("x\nlonger\n")); err != nil {
			t.Fatal(err)
		}
	}
	expectBlocks(t, "core-2", short, "hi\n", "abc\n", "\n", "é\n", "wxyz", "x\n", "longer\n")
	expectBlocks(t, "core-3", long, "abcd\n", "hello\n", "x\n", "longer\n")
	if got := blocks(t, own.Main())[1:]; fmt.Sprint(got) != fmt.Sprint([]string{"x\n", "longer\n", "x\n", "longer\n"}) {
		t.Fatalf("main holds %q", got)
	}
	for _, core := range []string{"core-4", "core-0", "core-02", "Main", " "} {
		if err := own.Append(t.Context(), core, [][]byte{{1}}); !errors.Is(err, ErrNoCore) {
			t.Errorf("append to %q: %v, want %v", core, err, ErrNoCore)
		}
	}
}

// TestAppendAllOrNothing sends a batch of which one block is too large for a
// core: no core has any of it.
func TestAppendAllOrNothing(t *testing.T) {
	own := makeOwn(t, openStore(t, t.TempDir(), nil), nil)
	huge := bytes.Repeat([]byte{'x'}, hypercore.MaxBlock+1)
	err := own.Append(t.Context(), "", [][]byte{[]byte("a\n"), []byte("hello\n"), huge})
	if !errors.Is(err, hypercore.ErrTooLarge) {
		t.Fatalf("Append = %v, want %v", err, hypercore.ErrTooLarge)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := own.Append(ctx, "", [][]byte{[]byte("a\n"), []byte("hello\n")}); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("Append with an ended context = %v", err)
	} else if err == nil {
		t.Fatal("Append with an ended context succeeded")
	}
	expectBlocks(t, "core-2", own.cores[placeShort].Core)
	expectBlocks(t, "core-3", own.cores[placeLong].Core)
}

func TestRoute(t *testing.T) {
	for n := range 10 {
		want := placeLong
		if n < 5 {
			want = placeShort
		}
		if got := route(make([]byte, n)); got != want {
			t.Errorf("%d bytes go to %s, want %s", n, CoreName(got), CoreName(want))
		}
	}
}
