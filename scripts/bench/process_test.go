package main

import (
	"crypto/sha256"
	"os"
	"strings"
	"testing"
	"time"
)

// TestUsage: what is read of a process from outside is what it took.
func TestUsage(t *testing.T) {
	before, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var sum [32]byte
	for now := before; now-before < 20*time.Millisecond; {
		for range 1000 {
			sum = sha256.Sum256(sum[:])
		}
		if now, err = cpuOf(os.Getpid()); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("after a minute of work the clock says %v", now-before)
		}
	}

	const size = 64 << 20
	low, err := peakOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		b[i] = 1
	}
	high, err := peakOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if high < low || high < size {
		t.Errorf("peak %d, then %d with %d bytes in use", low, high, len(b))
	}
	if _, err := cpuOf(1<<22 + 1); err == nil {
		t.Error("a process that is none has a clock")
	}
	if _, err := peakOf(1<<22 + 1); err == nil {
		t.Error("a process that is none has memory")
	}
}

// TestProcess: a child that does not do what it should is an error that says
// what it said.
func TestProcess(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"ends":     {`echo sorry >&2; exit 3`, "sorry"},
		"error":    {`read x; echo '{"error":"no room"}'`, "no room"},
		"nonsense": {`read x; echo hello`, "invalid character"},
		"other":    {`read x; echo '{"event":"done"}'`, `says "done", want "ready"`},
	} {
		p, err := start(t.Context(), name, []string{"sh", "-c", c.script}, spec{})
		if err != nil {
			if name == "ends" && strings.Contains(err.Error(), "pipe") {
				continue // it ended before it was told anything
			}
			t.Fatal(err)
		}
		if _, err = p.expect("ready"); err == nil {
			t.Errorf("%s: no error", name)
		}
		if stopped := p.stop(); name == "ends" {
			err = stopped // all of standard error has come by now
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
	p, err := start(t.Context(), "echo", []string{"sh", "-c", `read x; read w; echo "{\"event\":\"ready\",\"addr\":\"$w\"}"; read y`}, spec{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.say(wordGo); err != nil {
		t.Fatal(err)
	}
	if r, err := p.expect("ready"); err != nil || r.Addr != wordGo {
		t.Errorf("%+v, %v", r, err)
	}
	if err := p.stop(); err == nil { // read at the end of input fails
		t.Error("exit code 1 is no error")
	}
}
