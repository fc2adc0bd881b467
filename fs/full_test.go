package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFullDisk fills the volume of the store: write(2) says ENOSPC, what was
// acknowledged stays, and there is room again once there is.
func TestFullDisk(t *testing.T) {
	needFUSE(t)
	volume := t.TempDir()
	if err := unix.Mount("tmpfs", volume, "tmpfs", 0, "size=4m"); err != nil {
		unavailable(t, err)
	}
	t.Cleanup(func() { unix.Unmount(volume, unix.MNT_DETACH) })
	ballast := filepath.Join(volume, "ballast")
	a := openMachine(t, filepath.Join(volume, "store"), true)
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	m := mount(t, "", a.options())
	f, err := os.OpenFile(m.path("append"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := strings.Repeat("x", 10_000)
	var written strings.Builder
	for i := 0; ; i++ {
		s := fmt.Sprintf("%d %s\n", i, line)
		if _, err = f.WriteString(s); err != nil {
			break
		}
		written.WriteString(s)
		if i > 1000 {
			t.Fatal("never full")
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v, want %v", err, syscall.ENOSPC)
	}
	if got, want := m.read("core-3/log"), written.String(); got != want {
		t.Fatalf("log has %d bytes after the error, want %d", len(got), len(want))
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("there is room again\n"); err != nil {
		t.Fatal(err)
	}
	m.want("core-3/log", written.String()+"there is room again\n")
}
