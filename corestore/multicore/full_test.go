package multicore

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"multicore/hypercore/replicate"
)

// lines is a log that is read by lines.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// A reader whose disk is full while it downloads pauses with one line in the log,
// serves what it has, and goes on by itself when there is room.
func TestDownloadFillsTheDisk(t *testing.T) {
	volume := t.TempDir()
	if err := unix.Mount("tmpfs", volume, "tmpfs", 0, "size=6m"); err != nil {
		if errors.Is(err, syscall.EPERM) && os.Getenv("CI") != "true" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(volume, unix.MNT_DETACH) })
	wst, rst := openStore(t, t.TempDir(), nil), openStore(t, filepath.Join(volume, "store"), nil)
	wsw := newSwarm(t, wst)
	own := large(t, wst, wsw, 200) // 3.2 MB
	ballast := filepath.Join(volume, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var said lines
	rsw := replicate.New(replicate.Options{Directory: held{rst}, Log: slog.New(slog.NewTextHandler(&said, nil))})
	t.Cleanup(func() { rsw.Close() })
	connect(t, wsw, rsw)
	r := openRemote(t, rst, rsw, own.Key())
	r.SetDownload(true)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cores, err := r.Cores(ctx)
	if err != nil {
		t.Fatal(err)
	}
	log := cores[2].Core
	awaitLength(t, log, 200)
	const pausing, again = "cannot store what peers send", "stores again what peers send"
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for said.count(pausing) == 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never full: %d blocks", log.HeldBlocks())
		}
	}
	runs := log.Runs(0, 200)
	if len(runs) == 0 {
		t.Fatal("nothing was stored")
	}
	for _, run := range runs {
		for i := run.From; i < run.To; i++ {
			if b, err := log.Block(i); err != nil || !bytes.Equal(b, bulk(int(i))) {
				t.Fatalf("block %d on a full disk: %d bytes, %v", i, len(b), err)
			}
		}
	}
	for i := range uint64(200) {
		if log.Has(i) {
			continue
		}
		if _, err := log.Get(ctx, i); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("a block that is not here: %v, want %v", err, syscall.ENOSPC)
		}
		break
	}
	if err := rsw.NotStored(log.DiscoveryKey()); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("what is not stored: %v, want %v", err, syscall.ENOSPC)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for log.HeldBlocks() < 200 {
		changed := log.Changed()
		if log.HeldBlocks() == 200 {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%d of 200 blocks, and there is room: %v", log.HeldBlocks(), log.Info().Failed)
		}
	}
	for i := range uint64(200) {
		if b, err := log.Block(i); err != nil || !bytes.Equal(b, bulk(int(i))) {
			t.Fatalf("block %d: %d bytes, %v", i, len(b), err)
		}
	}
	if err := rsw.NotStored(log.DiscoveryKey()); err != nil {
		t.Fatalf("all is stored, and not: %v", err)
	}
	if n := said.count(pausing); n != 1 || said.count(again) != 1 {
		t.Fatalf("it said %d times that it pauses, and %d times that it goes on", n, said.count(again))
	}
}
