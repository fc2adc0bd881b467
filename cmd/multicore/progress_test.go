package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal: what a command writes to tty comes out of it.
type terminal struct {
	t        *testing.T
	fd       int // of the other end
	tty      *os.File
	closing  sync.Once
	received bytes.Buffer
}

func newTerminal(t *testing.T, columns uint16) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	needs(t, err == nil, "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, fd: fd, tty: tty}
	t.Cleanup(func() {
		tty.Close()
		unix.Close(fd)
	})
	return term
}

// text is all that was written so far.
func (x *terminal) text() string {
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(x.fd, buf)
		if n <= 0 || err != nil {
			return x.received.String()
		}
		x.received.Write(buf[:n])
	}
}

func TestProgressText(t *testing.T) {
	at := func(s float64, blocks, bytes uint64) sample {
		return sample{time.Unix(0, 0).Add(time.Duration(s * float64(time.Second))), blocks, bytes}
	}
	for _, tt := range []struct {
		p    progress
		past []sample
		want string
	}{
		{progress{}, []sample{at(0, 0, 0)}, ""},
		{progress{what: "core-3", ofBlock: 10}, []sample{at(0, 0, 0), at(1, 0, 0)}, "core-3: 0 of 10 blocks"},
		{progress{what: "core-3", blocks: 4, ofBlock: 10, bytes: 4e6}, []sample{at(0, 0, 0)}, "core-3: 4 of 10 blocks, 4 MB"},
		{progress{what: "core-3", blocks: 4, ofBlock: 10, bytes: 4e6}, []sample{at(0, 2, 2e6), at(1, 3, 3e6), at(2, 4, 4e6)}, "core-3: 4 of 10 blocks, 4 MB, 1 MB/s, 6s left"},
		{progress{bytes: 25e6, ofBytes: 100e6}, []sample{at(0, 0, 0), at(0.5, 0, 25e6)}, "25 MB of 100 MB, 50 MB/s, 2s left"},
		{progress{bytes: 5000}, []sample{at(0, 0, 0), at(5, 0, 5000)}, "5 kB, 1 kB/s"},
		{progress{bytes: 5000, ofBytes: 6000}, []sample{at(0, 0, 5000), at(5, 0, 5000)}, "5 kB of 6 kB, 0 B/s"},
		{progress{blocks: 9, ofBlock: 12, bytes: 50, ofBytes: 100, stuck: "stalled, missing 9–11, 0 peers"}, []sample{at(0, 9, 50), at(5, 9, 50)}, "9 of 12 blocks, 50 B, stalled, missing 9–11, 0 peers"},
		{progress{stuck: "nothing is known of it yet, 0 peers"}, []sample{at(0, 0, 0)}, "nothing is known of it yet, 0 peers"},
	} {
		if got := tt.p.text(tt.past); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.p, got, tt.want)
		}
	}
}

// The line appears after a second, is drawn a few times a second, fits the
// terminal, makes way for other lines, and is gone at the end.
func TestMeter(t *testing.T) {
	term := newTerminal(t, 30)
	synctest.Test(t, func(t *testing.T) {
		u := &ui{out: new(bytes.Buffer), err: term.tty}
		m := u.meter(false)
		defer m.end()
		for i := range uint64(30) {
			m.set(progress{what: "a core with a long name", blocks: i, ofBlock: 30, bytes: i})
			time.Sleep(meterDelay / 30)
		}
		if got := term.text(); got != "" {
			t.Errorf("in the first second it shows %q", got)
		}
		time.Sleep(2 * time.Second)
		text := term.text()
		if n := strings.Count(text, "\r\x1b[K"); n < 5 || n > 9 {
			t.Errorf("it was drawn %d times in 2 s", n)
		}
		for line := range strings.SplitSeq(text, "\r\x1b[K") {
			if len(line) > 29 {
				t.Errorf("%q does not fit into 30 columns", line)
			}
		}
		if !strings.HasSuffix(text, "\r\x1b[Ka core with a long name: 29 o") {
			t.Errorf("it shows %q", text)
		}
		u.note("by the way")
		m.set(progress{what: "x", blocks: 1, ofBlock: 2})
		time.Sleep(time.Second)
		m.end()
		m.end()
		more := strings.TrimPrefix(term.text(), text)
		if !strings.HasPrefix(more, "\r\x1b[Kmulticore: by the way\r\n\r\x1b[Kx: 1 of 2 blocks") || !strings.HasSuffix(more, "\r\x1b[K") {
			t.Errorf("after a note and at the end it shows %q", more)
		}
	})
	for name, u := range map[string]*ui{
		"quiet": {out: os.Stdout, err: term.tty, quiet: true}, "not a terminal": {out: term.tty, err: new(bytes.Buffer)},
		"results on the terminal": {out: term.tty, err: term.tty},
	} {
		if m := u.meter(true); m != nil {
			m.end()
			t.Errorf("%s: there is progress", name)
		}
	}
}

// cat shows progress on the terminal that stderr is, and none where the blocks go
// to a terminal too.
func TestE2EProgress(t *testing.T) {
	l := newLab(t)
	l.net = []string{"--dht", "off", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0"}
	l.sh("head -c 1500000 /dev/zero | multicore --store writer append --block-size 32KiB")
	key := strings.TrimSpace(l.must("multicore", "--store", "writer", "key"))
	peer := strings.TrimPrefix(l.serve("writer").expect("listening on "), "listening on ")
	terms := map[string]*terminal{}
	var wg sync.WaitGroup
	for _, name := range []string{"file", "quiet", "both"} {
		term := newTerminal(t, 100)
		terms[name] = term
		args := append([]string{"multicore", "--store", name, "cat", key + "/core-3", "--peer", peer, "--download-limit", "500KB"}, l.net...)
		if name == "quiet" {
			args = append(args, "-q")
		}
		cmd := l.command(t.Context(), args...)
		cmd.Stderr = term.tty
		out, err := os.Create(l.path(name + ".out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		cmd.Stdout = out
		if name == "both" {
			cmd.Stdout = term.tty
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		wg.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case err := <-ended:
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					return
				case <-tick.C:
					term.text() // or what it shows finds no room
				}
			}
		})
	}
	wg.Wait()
	shown := terms["file"].text()
	if !strings.Contains(shown, "\r\x1b[Kcore-3: ") || !strings.Contains(shown, " of 46 blocks, ") || !strings.Contains(shown, "B/s, ") || !strings.Contains(shown, "s left") || !strings.HasSuffix(shown, "\r\x1b[K") {
		t.Errorf("progress is %q", shown)
	}
	if shown := terms["quiet"].text(); shown != "" {
		t.Errorf("--quiet shows %q", shown)
	}
	if shown := strings.Trim(terms["both"].text(), "\x00"); shown != "" {
		t.Errorf("with the blocks on the terminal it shows %q", shown)
	}
}

// Colours are for terminals, and for those who want them.
func TestPaint(t *testing.T) {
	term := newTerminal(t, 80)
	for _, tt := range []struct {
		noColour, term string
		painted        bool
	}{{"", "xterm", true}, {"", "dumb", false}, {"1", "xterm", false}} {
		t.Setenv("NO_COLOR", tt.noColour)
		t.Setenv("TERM", tt.term)
		want := "lost"
		if tt.painted {
			want = "\x1b[31mlost\x1b[0m"
		}
		if got := paint(term.tty, red, "lost"); got != want {
			t.Errorf("NO_COLOR=%s TERM=%s: %q, want %q", tt.noColour, tt.term, got, want)
		}
		if got := paint(new(bytes.Buffer), red, "lost"); got != "lost" {
			t.Errorf("to a file: %q", got)
		}
	}
}
