package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// about says what was measured, and where.
func (b *bench) about(o options) []string {
	lines := []string{}
	if o.quick {
		lines = append(lines, "A quick run: sizes are small, figures say nothing about speed.", "")
	}
	node, _ := exec.Command(b.node, "--version").Output()
	lines = append(lines,
		fmt.Sprintf("%s, medians of up to %d rounds (and their range).", time.Now().UTC().Format("2 January 2006"), o.rounds),
		fmt.Sprintf("Machine: %d × %s, %s memory, Linux %s, load %s at the end.", runtime.NumCPU(), processor(), memory(), kernel(), loadAverage()),
		fmt.Sprintf("Stores: on disk for both sides (%s).", b.filesystem()),
		fmt.Sprintf("Ours: multicore %s, %s, go-libp2p %s.", b.revision, runtime.Version(), dependency("github.com/libp2p/go-libp2p")),
		fmt.Sprintf("Peer: hypercore %s, corestore %s, Node %s.", b.npm("hypercore"), b.npm("corestore"), strings.TrimSpace(string(node))),
	)
	return append(lines, b.skipped...)
}

func firstField(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "?"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "?"
}

func processor() string { return firstField("/proc/cpuinfo", "model name") }

func memory() string {
	var kib int
	fmt.Sscan(firstField("/proc/meminfo", "MemTotal"), &kib)
	return fmt.Sprintf("%d GiB", (kib+1<<19)>>20)
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "?"
	}
	return unix.ByteSliceToString(u.Release[:])
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	return strings.Fields(string(text))[0]
}

// filesystem names what the stores are on.
func (b *bench) filesystem() string {
	var s unix.Statfs_t
	if err := unix.Statfs(b.dir, &s); err != nil {
		return "?"
	}
	for magic, name := range map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.TMPFS_MAGIC: "tmpfs: no disk at all",
	} {
		if int64(s.Type) == magic {
			return name
		}
	}
	return fmt.Sprintf("file system %#x", s.Type)
}

// revision is the commit of the tree that this was built from.
func revision() string {
	text, err := exec.Command("git", "describe", "--always", "--dirty=-changed", "--abbrev=12").Output()
	if err != nil {
		return "of no known commit"
	}
	return strings.TrimSpace(string(text))
}

func dependency(path string) string {
	info, _ := debug.ReadBuildInfo()
	for _, d := range info.Deps {
		if d.Path == path {
			return d.Version
		}
	}
	return "?"
}

// npm is the version of an installed package.
func (b *bench) npm(name string) string {
	var p struct{ Version string }
	text, err := os.ReadFile(filepath.Join(b.scripts, "..", "node_modules", name, "package.json"))
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return "?"
	}
	return p.Version
}
