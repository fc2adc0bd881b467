package fs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// stranger is a user who does not mount.
const stranger = 65534

// openDir is a directory that every user may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// as runs a script as another user and group, and gives what it printed.
func (m *mnt) as(uid, gid uint32, script string) (string, error) {
	c := exec.Command("sh", "-c", script)
	c.Env = append(os.Environ(), "M="+m.Path())
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	out, err := c.CombinedOutput()
	return string(out), err
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		unavailable(t, errors.New("needs root, to act as several users"))
	}
}

// Nobody but who mounts gets in, as long as that is not asked for.
func TestOthersStayOutside(t *testing.T) {
	needRoot(t)
	a := newMachine(t, true)
	m := mount(t, filepath.Join(openDir(t), "mnt"), a.options())
	if out, err := m.as(stranger, stranger, `ls "$M"`); err == nil {
		t.Errorf("a stranger lists: %s", out)
	}
	if out, err := m.as(stranger, stranger, `echo x >>"$M/append"`); err == nil {
		t.Errorf("a stranger appends: %s", out)
	}
	if n := a.core("core-2").Info().Length; n != 0 {
		t.Errorf("%d messages", n)
	}
}

// Where others are let in, owner and mode bits decide.
func TestOthersAreLetIn(t *testing.T) {
	needRoot(t)
	id := func(n uint32) *uint32 { return &n }
	const owner, group = 1234, 5678
	for _, tt := range []struct {
		name             string
		uid, gid, umask  *uint32
		dir, file, write string // owner, group and mode bits as stat shows them
		reads, appends   map[[2]uint32]bool
	}{
		{
			name: "as it comes", dir: "0 0 555", file: "0 0 444", write: "0 0 200",
			reads:   map[[2]uint32]bool{{stranger, stranger}: true, {0, 0}: true},
			appends: map[[2]uint32]bool{{stranger, stranger}: false, {0, 0}: true},
		},
		{
			name: "an owner", uid: id(owner), gid: id(group), dir: "1234 5678 555", file: "1234 5678 444", write: "1234 5678 200",
			reads:   map[[2]uint32]bool{{stranger, stranger}: true, {owner, stranger}: true},
			appends: map[[2]uint32]bool{{stranger, stranger}: false, {owner, stranger}: true, {stranger, group}: false, {0, 0}: true},
		},
		{
			name: "a group that writes", uid: id(owner), gid: id(group), umask: id(0o007), dir: "1234 5678 550", file: "1234 5678 440", write: "1234 5678 220",
			reads:   map[[2]uint32]bool{{stranger, stranger}: false, {stranger, group}: true, {owner, stranger}: true},
			appends: map[[2]uint32]bool{{stranger, stranger}: false, {stranger, group}: true, {owner, stranger}: true},
		},
		{
			name: "everybody", umask: id(0), dir: "0 0 555", file: "0 0 444", write: "0 0 222",
			reads:   map[[2]uint32]bool{{stranger, stranger}: true},
			appends: map[[2]uint32]bool{{stranger, stranger}: true},
		},
		{
			name: "the owner alone", uid: id(owner), gid: id(group), umask: id(0o077), dir: "1234 5678 500", file: "1234 5678 400", write: "1234 5678 200",
			reads:   map[[2]uint32]bool{{stranger, group}: false, {owner, stranger}: true},
			appends: map[[2]uint32]bool{{stranger, group}: false, {owner, stranger}: true},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newMachine(t, true)
			a.append("core-3", "hello\n")
			o := a.options()
			o.AllowOther, o.UID, o.GID, o.Umask = true, tt.uid, tt.gid, tt.umask
			m := mount(t, filepath.Join(openDir(t), "mnt"), o)
			for path, want := range map[string]string{"": tt.dir, "core-3": tt.dir, "core-3/log": tt.file, "core-3/blocks/0": tt.file, "append": tt.write, "core-3/append": tt.write} {
				if got := strings.TrimSpace(m.sh(`stat -c '%u %g %a' "$M/` + path + `"`)); got != want {
					t.Errorf("%q is %s, want %s", path, got, want)
				}
			}
			for who, may := range tt.reads {
				out, err := m.as(who[0], who[1], `cat "$M/core-3/log" && ls "$M/core-3/blocks"`)
				if got := err == nil && strings.HasPrefix(out, "hello\n"); got != may {
					t.Errorf("%v reads: %v, want %v: %v %s", who, got, may, err, out)
				}
			}
			for who, may := range tt.appends {
				before := m.read("core-3/length")
				out, err := m.as(who[0], who[1], `echo appended >>"$M/append"`)
				if grew := m.read("core-3/length") != before; (err == nil) != may || grew != may {
					t.Errorf("%v appends: %v, grew %v, want %v: %s", who, err, grew, may, out)
				}
			}
			// Root may do more elsewhere; here nothing but append can be written.
			if out, err := m.as(0, 0, `echo x >"$M/core-3/log" || rm -f "$M/key" || mkdir "$M/d" || chmod 666 "$M/append"`); err == nil {
				t.Errorf("root changes something: %s", out)
			}
		})
	}
}

// The table of mounts says what the mount is.
func TestMountTable(t *testing.T) {
	a := newMachine(t, true)
	for readOnly, want := range map[bool]string{false: "rw", true: "ro"} {
		o := a.options()
		o.ReadOnly = readOnly
		m := mount(t, "", o)
		table, err := os.ReadFile("/proc/self/mounts")
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			if f[1] != m.Path() {
				continue
			}
			found = true
			options := strings.Split(f[3], ",")
			if f[0] != "multicore" || f[2] != "fuse.multicore" {
				t.Errorf("%s", line)
			}
			for _, o := range []string{want, "nosuid", "nodev", "noexec"} {
				if !strings.Contains(","+strings.Join(options, ",")+",", ","+o+",") {
					t.Errorf("read-only %v: no %s in %s", readOnly, o, line)
				}
			}
		}
		if !found {
			t.Error("not in the table of mounts")
		}
		if err := m.Unmount(); err != nil {
			t.Fatal(err)
		}
	}
}
