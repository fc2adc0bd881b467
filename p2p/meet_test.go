package p2p

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// TestMeet: two processes of one user find each other with no flags and no
// network but loopback, and leave nothing behind.
func TestMeet(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	dir := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "multicore")
	meet := func(o *Options) { o.MDNS = true }
	as, bs := newFakeSwarm(), newFakeSwarm()
	a := startTest(t, as, meet)
	began := time.Now()
	b := startTest(t, bs, meet)
	until(t, "they are served", func() bool {
		return as.serving(b.Status().PeerID) && bs.serving(a.Status().PeerID)
	}, as.Changed)
	t.Logf("found after %v", time.Since(began))
	for _, n := range []*Node{a, b} {
		fi, err := os.Stat(filepath.Join(dir, n.Status().PeerID))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("file has mode %04o, want 0600", fi.Mode().Perm())
		}
	}
	a.Close()
	b.Close()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestMeetOff(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	startTest(t, newFakeSwarm(), nil)
	if _, err := os.Stat(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "multicore")); !os.IsNotExist(err) {
		t.Errorf("the meeting place exists: %v", err)
	}
}

func TestMeetDir(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	if got, want := meetDir(), filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "multicore"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	fallback := fmt.Sprintf("/tmp/multicore-%d", os.Geteuid())
	for _, base := range []string{"", "relative", "/nonexistent"} {
		t.Setenv("XDG_RUNTIME_DIR", base)
		if got := meetDir(); got != fallback {
			t.Errorf("XDG_RUNTIME_DIR=%q: got %s, want %s", base, got, fallback)
		}
	}
}

// TestMeetDirRefused: a directory that others could have prepared is not used,
// and the node starts all the same.
func TestMeetDirRefused(t *testing.T) {
	for _, tc := range []struct {
		desc    string
		prepare func(t *testing.T, path string)
		want    string
	}{
		{"symbolic link", func(t *testing.T, path string) {
			if err := os.Symlink(t.TempDir(), path); err != nil {
				t.Fatal(err)
			}
		}, "is not a directory"},
		{"file", func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is not a directory"},
		{"open to others", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, 0o777); err != nil {
				t.Fatal(err)
			}
		}, "has mode 0777, want 0700"},
		{"of another user", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(path, 12345, -1); err != nil {
				t.Skip(err)
			}
		}, "belongs to another user"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			base := t.TempDir()
			t.Setenv("XDG_RUNTIME_DIR", base)
			path := filepath.Join(base, "multicore")
			tc.prepare(t, path)
			var out bytes.Buffer
			n := startTest(t, newFakeSwarm(), func(o *Options) {
				o.MDNS = true
				o.Log = slog.New(slog.NewTextHandler(&out, nil))
			})
			n.Close()
			if strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), tc.want) {
				t.Errorf("want one line with %q, got %q", tc.want, &out)
			}
		})
	}
}

// TestMeetFiles: what is not a living process's file is passed over; what was
// left behind is removed.
func TestMeetFiles(t *testing.T) {
	id := func(last string) string {
		return rawID(t, strings.Repeat("0", 64-len(last))+last).String()
	}
	dir := filepath.Join(t.TempDir(), "multicore")
	open := func(name string) *meeting {
		m, err := openMeeting(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	ours, living := open(id("1")), open(id("2"))
	defer ours.close()
	addrs := []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/1234")}
	for _, m := range []*meeting{ours, living} {
		if err := m.publish(addrs); err != nil {
			t.Fatal(err)
		}
	}
	dead := open(id("3"))
	if err := dead.publish(addrs); err != nil {
		t.Fatal(err)
	}
	dead.file.Close() // as the end of a process does
	for name, content := range map[string]string{
		"README":         "hello",
		id("4"):          "{",
		meetDraft + "xy": "left in the middle",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, id("5"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, id("6")), 0o700); err != nil {
		t.Fatal(err)
	}
	others, err := ours.others()
	if err != nil {
		t.Fatal(err)
	}
	if len(others) != 1 || others[0].ID.String() != id("2") || fmt.Sprint(others[0].Addrs) != fmt.Sprint(addrs) {
		t.Errorf("got %v, want the one that lives", others)
	}
	for _, name := range []string{id("3"), id("4"), meetDraft + "xy"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there", name)
		}
	}

	// A file that somebody removed comes back; new addresses replace the old.
	os.Remove(filepath.Join(dir, living.name))
	if err := living.publish(addrs); err != nil {
		t.Fatal(err)
	}
	more := append(addrs, ma.StringCast("/ip6/::1/tcp/1234"))
	if err := living.publish(more); err != nil {
		t.Fatal(err)
	}
	if others, err = ours.others(); err != nil || len(others) != 1 || len(others[0].Addrs) != 2 {
		t.Errorf("after the change: %v, %v", others, err)
	}
	living.close()
	if others, err = ours.others(); err != nil || len(others) != 0 {
		t.Errorf("after its end: %v, %v", others, err)
	}
}

func FuzzParseNote(f *testing.F) {
	f.Add("12D3KooWKT4GsCd2TSuXLVFypMCoVGx7JKTpfPD2XgUdRJtR615e", []byte(`{"pid":1,"addrs":["/ip4/127.0.0.1/tcp/1"]}`))
	f.Add("12D3KooWKT4GsCd2TSuXLVFypMCoVGx7JKTpfPD2XgUdRJtR615e", []byte(`{"addrs":["","/","/p2p-circuit","/ip4/1.2.3.4"]}`))
	f.Add("x", []byte("[]"))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		info, ok := parseNote(name, text)
		if !ok {
			return
		}
		if info.ID.Validate() != nil || len(info.Addrs) == 0 || len(info.Addrs) > meetAddrsMax {
			t.Errorf("accepted %+v", info)
		}
		if _, err := peer.AddrInfoToP2pAddrs(&info); err != nil {
			t.Error(err)
		}
	})
}
