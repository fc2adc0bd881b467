package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestE2EBinary sends binary data in blocks of a size and reads it elsewhere.
func TestE2EBinary(t *testing.T) {
	const size = 20<<20 + 12345
	l := newLab(t)
	l.bootstrap()
	l.mount("writer", "w", "--framing", "64KiB")
	l.mount("reader", "r")
	key := strings.TrimSpace(l.must("cat", "w/key"))
	l.sh(fmt.Sprintf("head -c %d /dev/urandom > data; cp data w/append", size))
	l.durable("writer")
	core := l.coreStatus("writer", "core-3")
	if want := uint64((size + 65535) / 65536); core.Length != want || core.ByteLength != size {
		t.Fatalf("core-3 has %d blocks of %d bytes, want %d of %d", core.Length, core.ByteLength, want, size)
	}
	l.must("cmp", "data", "w/core-3/log")
	l.must("cat", filepath.Join("r", key, "core-3", "blocks", "0")) // waits for the length
	eventually(t, patience, "the reader sees the length", func() bool {
		return l.coreStatus("reader", key+"/core-3").ByteLength == size
	})
	l.must("cmp", "data", filepath.Join("r", key, "core-3", "log"))
}

// TestE2ETooLong writes lines around the limit.
func TestE2ETooLong(t *testing.T) {
	l := newLab(t)
	l.net = []string{"--dht", "off", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0"}
	l.mount("writer", "w")
	l.sh(fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x > line; echo >> line; cat line > w/append", 8<<20-1))
	if core := l.coreStatus("writer", "core-3"); core.Length != 1 || core.ByteLength != 8<<20 {
		t.Fatalf("after a line of 8 MiB core-3 is %+v", core)
	}
	_, errs, code := l.run("bash", "-c", "{ echo fine; printf y; cat line; } | dd bs=1M iflag=fullblock of=w/append")
	if code == 0 || !strings.Contains(errs, "Message too long") {
		t.Fatalf("a line of 8 MiB and a byte: exit code %d, %q", code, errs)
	}
	f, err := os.OpenFile(l.path("w", "append"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	long := []byte(strings.Repeat("z", 1<<20))
	for range 8 {
		if _, err := f.Write(long); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range []string{"more", "and the rest\n"} {
		if _, err := f.WriteString(part); !errors.Is(err, syscall.EMSGSIZE) {
			t.Fatalf("write of the rest of a long line: %v, want %v", err, syscall.EMSGSIZE)
		}
	}
	if _, err := f.WriteString("next line\n"); err != nil {
		t.Fatal(err)
	}
	expect(t, "core-3/blocks/1", l.must("cat", "w/core-3/blocks/1"), "fine\n")
	expect(t, "core-3/blocks/2", l.must("cat", "w/core-3/blocks/2"), "next line\n")
	if core := l.coreStatus("writer", "core-3"); core.Length != 3 {
		t.Fatalf("core-3 has %d blocks, want 3", core.Length)
	}
}
