package fs

import (
	"context"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestDead: a process that does not answer is told from one that died, and holds
// nobody up.
func TestDead(t *testing.T) {
	needFUSE(t)
	dir := filepath.Join(t.TempDir(), "mnt")
	holder := start(t, "hold", filepath.Join(t.TempDir(), "store"), dir)
	t.Cleanup(func() { detach(dir) })
	look := func(d time.Duration) (dead, mute bool) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		isDead, isMute, err := Dead(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(isDead, dir), slices.Contains(isMute, dir)
	}
	if !poll(func() bool { dead, mute := look(time.Second); return !dead && !mute }) {
		t.Error("a live one is said to be dead or mute")
	}
	if err := holder.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// What the kernel knows of it lasts for a while.
	if !poll(func() bool { dead, mute := look(100 * time.Millisecond); return !dead && mute }) {
		t.Error("one that is stopped is not said to be mute")
	}
	holder.Process.Kill()
	holder.Wait()
	if !poll(func() bool { dead, mute := look(100 * time.Millisecond); return dead && !mute }) {
		t.Error("one that is killed is not said to be dead")
	}
}
