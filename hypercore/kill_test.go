package hypercore

import (
	"bufio"
	"bytes"
	"context"
	testflag "flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"multicore/hypercore/storage"
)

// killDir, in the environment, makes the test binary a writer that appends to
// two cores in that directory until it is killed.
const killDir = "HYPERCORE_KILL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		fmt.Println("error:", writeUntilKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// lineOf is block i of core n in the kill test.
func lineOf(n byte, i uint64) []byte {
	return fmt.Appendf(nil, "core %d, block %d%s", n, i, strings.Repeat(".", int(i%97)))
}

// writeUntilKilled appends one by one, in batches, and over both cores, and
// prints the lengths that were acknowledged.
func writeUntilKilled(dir string) error {
	st, err := storage.Open(dir, storage.Options{Create: true})
	if err != nil {
		return err
	}
	f := NewFlusher(st, nil)
	var cores [2]*Core
	for n := range cores {
		pair := testPair(byte(n))
		if cores[n], err = Open(f, Options{Key: testKey(byte(n)), KeyPair: &pair}); err != nil {
			return err
		}
	}
	ctx := context.Background()
	for round := 0; ; round++ {
		var batches []Batch
		for n, c := range cores {
			b := Batch{Core: c}
			for j := range uint64(round % 4) {
				b.Blocks = append(b.Blocks, lineOf(byte(n), c.Info().Length+j))
			}
			batches = append(batches, b)
		}
		if err := AppendAll(ctx, batches); err != nil {
			return err
		}
		if _, err := cores[0].Append(ctx, lineOf(0, cores[0].Info().Length)); err != nil {
			return err
		}
		if round%50 == 0 {
			if err := f.Flush(ctx); err != nil {
				return err
			}
		}
		if _, err := fmt.Println(cores[0].Info().Length, cores[1].Info().Length); err != nil {
			return err
		}
	}
}

// kills is 200 in the long run:
//
//	go test ./hypercore -run TestKill -timeout 0 -kills 200
var kills = testflag.Int("kills", 5, "times that TestKill kills the writer")

// TestKill kills a writer in the middle of a burst: whatever it acknowledged is
// there, what may be there besides is what it went on with, and a peer that
// follows finds no conflict.
func TestKill(t *testing.T) {
	var dir string
	var peers [2]*Core
	for try := range *kills {
		if try%20 == 0 { // or reading all of it takes ever longer
			dir = t.TempDir()
			for n := range peers {
				peers[n] = replica(t, newFlusher(t), byte(n))
			}
		}
		acked := killedAfter(t, dir, 200+131*(try%7))
		st, err := storage.Open(dir, storage.Options{})
		if err != nil {
			t.Fatal(err)
		}
		f := NewFlusher(st, testLog(t))
		for n := range byte(2) {
			c := own(t, f, n)
			got := c.Info().Length
			if got < acked[n] || got > acked[n]+8 {
				t.Fatalf("try %d: core %d has %d blocks, %d were acknowledged", try, n, got, acked[n])
			}
			for i := range got {
				if block, err := c.Block(i); err != nil || !bytes.Equal(block, lineOf(n, i)) {
					t.Fatalf("try %d: core %d, block %d: %q, %v", try, n, i, block, err)
				}
			}
			if err := upgrade(c, peers[n]); err != nil { // what was signed before the kill
				t.Fatalf("try %d: a peer of core %d: %v", try, n, err)
			}
			mustFlush(t, c)
			if err := upgrade(c, peers[n]); err != nil {
				t.Fatalf("try %d: a peer of core %d: %v", try, n, err)
			}
			if h := c.Head(); h.Length != got || c.Manifest().Verify(h.Tree, h.Signature) != nil {
				t.Fatalf("try %d: core %d has a head of length %d, want %d", try, n, h.Length, got)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killedAfter runs a writer, kills it after that many lines, and gives the last
// lengths that it acknowledged.
func killedAfter(t *testing.T, dir string, lines int) (acked [2]uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(out)
	for n := 0; in.Scan(); n++ {
		if n == lines {
			cmd.Process.Kill()
		}
		a, b, ok := strings.Cut(in.Text(), " ")
		x, err1 := strconv.ParseUint(a, 10, 64)
		y, err2 := strconv.ParseUint(b, 10, 64)
		if !ok || err1 != nil || err2 != nil {
			if n > lines { // cut by the kill
				break
			}
			t.Fatalf("writer says %q", in.Text())
		}
		acked = [2]uint64{x, y}
	}
	cmd.Process.Kill()
	cmd.Wait()
	return acked
}
