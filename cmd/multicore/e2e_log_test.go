package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// TestE2ELogs has two mounts and a follower with all logs on, their own and those
// of libp2p, and shows them blocks with a marker: written, replicated, read,
// verified, damaged and refused. No log has a byte of that, nor a key.
func TestE2ELogs(t *testing.T) {
	for _, libp2p := range []string{"", "debug"} {
		name := "ours"
		if libp2p != "" {
			name = "libp2p's too"
		}
		t.Run(name, func(t *testing.T) { logged(t, libp2p) })
	}
}

func logged(t *testing.T, libp2p string) {
	const marker = "this-is-said-in-a-block-and-nowhere-else"
	l := newLab(t)
	if libp2p != "" {
		l.env = append(l.env, "GOLOG_LOG_LEVEL="+libp2p)
	}
	l.bootstrap()
	l.net = append(l.net, "--verbose", "--read-timeout", "2s")
	writer := l.mount("writer", "w", "--max-message", "1KiB")
	reader := l.mount("reader", "r", "--log-format", "json")
	follower := l.serve("follower", "--verbose", "--log-format", "text")
	key := strings.TrimSpace(l.sh("cat w/key"))
	said := new(strings.Builder) // by short commands
	short := func(code int, args ...string) {
		t.Helper()
		_, errs, got := l.run(args...)
		if got != code {
			t.Errorf("%q: exit code %d, want %d: %s", args, got, code, errs)
		}
		said.WriteString(errs)
	}

	l.sh("for i in 1 2 3 4; do echo " + marker + "-$i > w/append; done; printf '" + marker + "' > w/append")
	if _, _, code := l.run("bash", "-c", "printf '"+marker+"%2000d\n' 1 > w/append"); code == 0 {
		t.Error("a message that is too long was taken")
	}
	l.sh("echo '" + marker + "' > line")
	short(0, "multicore", "--store", "writer", "--verbose", "append", "line")
	short(3, "multicore", "--store", "writer", "--verbose", "append", "--core", "core-9", "line")
	l.durable("writer")
	short(0, "multicore", "--store", "follower", "--verbose", "follow", key, "--wait")
	short(0, "multicore", "--store", "reader", "--verbose", "cat", key)
	if log := l.must("cat", "r/"+key+"/core-3/log"); strings.Count(log, marker) != 6 {
		t.Fatalf("the log is %q", log)
	}
	short(0, "multicore", "--store", "reader", "--verbose", "verify")

	// A block of the follower is damaged, which verify finds and mends.
	core := l.coreStatus("follower", key+"/core-3")
	f, err := os.OpenFile(l.path("follower", "cores", core.DiscoveryKey, "blocks"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("THIS"), 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	short(0, "multicore", "--store", "follower", "--verbose", "verify", "--repair", key+"/core-3")
	// A key that nobody has, and a name that is none.
	l.run("cat", "r/"+someKey+"/core-3/log")
	short(4, "multicore", "--store", "reader", "--verbose", "cat", someKey, "--read-timeout", "1s")
	announcedIn := func(p *process) bool {
		return strings.Contains(p.errs.String(), "announced: others can find this key")
	}
	eventually(t, patience, "the mounts say that they can be found", func() bool {
		return announcedIn(writer) && announcedIn(reader)
	})
	for _, p := range []*process{writer, reader, follower} {
		p.stop()
	}

	var logs strings.Builder
	for _, p := range []*process{writer, reader, follower} {
		logs.WriteString(p.errs.String())
	}
	if !strings.Contains(logs.String(), "damaged") && !strings.Contains(said.String(), "damaged") {
		t.Error("nothing was said of the damaged block")
	}
	secrets := map[string]string{"block bytes": marker[5:25]}
	secrets["block bytes in hex"] = hex.EncodeToString([]byte(marker[5:25]))
	for i := range 3 { // where it begins within three bytes
		secrets["block bytes in base64 "+string(rune('0'+i))] = base64.StdEncoding.EncodeToString([]byte(marker[6+i : 6+i+18]))
	}
	for _, store := range []string{"writer", "reader", "follower"} {
		for _, file := range []string{"primary-key", "identity"} {
			secret, err := os.ReadFile(l.path(store, file))
			if err != nil {
				t.Fatal(err)
			}
			secrets[file+" of the "+store] = strings.TrimSpace(string(secret))
		}
	}
	rights := map[string]string{"a key that nobody has": someKey}
	for _, c := range l.status("writer").Cores {
		rights["key of "+c.Path] = c.Key
	}
	for what, secret := range secrets {
		if strings.Contains(logs.String()+said.String(), secret) {
			t.Errorf("there are %s in a log", what)
		}
	}
	for what, right := range rights {
		if strings.Contains(logs.String(), right) {
			t.Errorf("the %s is in a log", what)
		}
	}
	if libp2p != "" {
		if !strings.Contains(logs.String(), "DEBUG") {
			t.Error("libp2p's own log is not there")
		}
		return
	}
	for _, line := range strings.Split(strings.TrimSpace(reader.errs.String()), "\n") {
		if line == "multicore: "+openToAll { // what is told to the user is no log
			continue
		}
		var record struct {
			Time       time.Time
			Level, Msg string
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Time.IsZero() || record.Level == "" || record.Msg == "" {
			t.Errorf("%v in %q", err, line)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(follower.errs.String()), "\n") {
		if !strings.HasPrefix(line, "multicore: ") {
			t.Errorf("with --log-format text: %q", line)
		}
	}
}
