package main

import (
	"strings"
	"testing"

	"multicore/cmd/multicore/control"
)

// TestE2ETwoCopies runs two copies of one store at a time, against all advice,
// each of which appends another message. A reader that meets both finds out and
// freezes the core, and so do they, whichever of the two the reader has: nothing
// is appended any more, what is there can be read, and both heads are shown.
func TestE2ETwoCopies(t *testing.T) {
	l := newLab(t)
	l.net = []string{"--dht", "off", "--mdns=false", "--listen", "/ip4/127.0.0.1/tcp/0"}
	first := l.mount("a", "ma")
	l.sh("for i in 1 2; do echo message $i; done > ma/append")
	l.durable("a")
	first.stop()
	l.sh("cp -a a b; rm b/identity") // with one identity they were one peer, and nobody connected to both

	l.mount("a", "ma", "--no-peers")
	second := l.mount("b", "mb", "--no-peers")
	l.sh("echo from the first > ma/append; echo from the second > mb/append")
	l.durable("a")
	l.durable("b")
	second.stop()
	key := strings.TrimSpace(l.sh("cat ma/key"))
	addr := func(store string) string { return l.status(store).Node.Addrs[0] }
	l.mount("r", "mr", "--peer", addr("a"))
	l.must("multicore", "--store", "r", "follow", key, "--wait") // a frozen core fetches nothing
	l.mount("b", "mb", "--peer", addr("r"))

	heads := make(map[string]*control.ConflictHeads)
	for store, path := range map[string]string{"a": "core-3", "b": "core-3", "r": key + "/core-3"} {
		eventually(t, patience, "the conflict shows at "+store, func() bool {
			for _, c := range l.status(store).Cores {
				if c.Path == path && c.Conflict {
					heads[store] = c.ConflictHeads
				}
			}
			return heads[store] != nil
		})
	}
	a, b := heads["a"], heads["b"]
	if a.Ours.Length != 3 || a.Theirs.Length != 3 || a.Ours.TreeHash != b.Theirs.TreeHash || a.Theirs.TreeHash != b.Ours.TreeHash ||
		a.Ours.TreeHash == a.Theirs.TreeHash || a.Ours.Signature != b.Theirs.Signature || len(a.Ours.Signature) < 128 {
		t.Errorf("the copies show %+v and %+v", a, b)
	}
	if r := heads["r"]; r.Ours != a.Ours && r.Ours != b.Ours {
		t.Errorf("the reader shows %+v", r)
	}

	for store, mnt := range map[string]string{"a": "ma", "b": "mb"} {
		for name, args := range map[string][]string{
			"append": {"bash", "-c", "echo more | multicore --store " + store + " append"},
			"verify": {"multicore", "--store", store, "verify", "core-3"},
		} {
			out, errs, code := l.run(args...)
			if code != 5 || !strings.HasPrefix(errs, "multicore: ") || strings.Count(errs, "\n") != 1 {
				t.Errorf("%s: exit code %d, says %q", name, code, errs)
			}
			if name == "verify" && (!strings.Contains(out, "all right") || !strings.Contains(out, a.Ours.TreeHash) || !strings.Contains(out, b.Ours.Signature)) {
				t.Errorf("verify shows %q", out)
			}
		}
		if _, errs, code := l.run("bash", "-c", "echo more > "+mnt+"/append"); code == 0 || !strings.Contains(errs, "Input/output error") {
			t.Errorf("a write to the mount: exit code %d, %q", code, errs)
		}
		l.sh("echo hi > " + mnt + "/append") // core-2 is another core
		out := l.must("multicore", "--store", store, "status")
		if strings.Count(out, "conflict") != 3 || !strings.Contains(out, a.Ours.TreeHash) || !strings.Contains(out, b.Ours.Signature) {
			t.Errorf("status shows %q", out)
		}
	}
	expect(t, "the first copy", l.sh("cat ma/core-3/log"), "message 1\nmessage 2\nfrom the first\n")
	expect(t, "the second copy", l.sh("cat mb/core-3/log"), "message 1\nmessage 2\nfrom the second\n")
	if got := l.sh("cat mr/" + key + "/core-3/blocks/1"); got != "message 2\n" {
		t.Errorf("the reader reads %q", got)
	}
}
