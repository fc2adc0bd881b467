package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// away is a machine with a mount, joined by a cable to another one, where a
// writer is. Each has a network namespace of its own.
type away struct {
	*lab         // of the reader
	there *lab   // of the writer
	key   string // of the writer
}

// How long things may take that need no network, and those that wait for one.
const (
	needsNoNetwork = 3 * time.Second
	readTimeout    = 1500 * time.Millisecond
	backAgain      = 20 * time.Second
)

// newAway starts both; of the writer's 200 long messages the reader has three.
func newAway(t *testing.T) *away {
	t.Helper()
	a := &away{lab: newLab(t), there: newLab(t)}
	a.namespace(true)
	a.there.namespace(true)
	reader, writer := a.ns[2], a.there.ns[2]
	a.lab.must("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", writer)
	for pid, l := range map[string]*lab{reader: a.lab, writer: a.there} {
		address := "192.0.2.1/24"
		if pid == reader {
			address = "192.0.2.2/24"
		}
		l.must("ip", "address", "add", address, "dev", "cable")
		l.must("ip", "link", "set", "cable", "up")
	}
	w := a.there.mounting("w", "--store", "writer", "mount", "w", "--dht", "off", "--mdns=false",
		"--listen", "/ip4/0.0.0.0/tcp/4001", "--listen", "/ip4/0.0.0.0/udp/4001/quic-v1")
	a.key = strings.TrimPrefix(w.expect("main core key: "), "main core key: ")
	a.there.sh("seq -f 'message %0990.0f' 200 > w/append")
	a.there.durable("writer")
	var peer string
	for _, addr := range a.there.status("writer").Node.Addrs {
		if strings.HasPrefix(addr, "/ip4/192.0.2.1/tcp/") {
			peer = addr
		}
	}
	a.mounting("r", "--store", "reader", "mount", "r", "--dht", "off", "--mdns=false", "--read-timeout", readTimeout.String(), "--peer", peer)
	for _, i := range []int{90, 7, 3} { // in no order, lest others are read ahead
		expect(t, "a block", a.must("cat", a.remote("blocks", fmt.Sprint(i))), a.message(i))
	}
	a.must("cat", a.remote("length"))
	a.sh("echo an own message > r/append")
	return a
}

// remote is a path in core-3 of the writer as the reader shows it.
func (a *away) remote(elem ...string) string {
	return a.path(append([]string{"r", a.key, "core-3"}, elem...)...)
}

func (a *away) message(i int) string { return fmt.Sprintf("message %0990d\n", i+1) }

// part is a command that reads one message out of the log.
func (a *away) part(i int) string {
	return fmt.Sprintf("dd if=%s bs=999 skip=%d count=1 status=none", a.remote("log"), i)
}

// within runs a program, which must be done in so long, and gives what it said.
func (a *away) within(d time.Duration, args ...string) (stdout, stderr string, code int) {
	a.t.Helper()
	began := time.Now()
	stdout, stderr, code = a.run(args...)
	if took := time.Since(began); took > d {
		a.t.Errorf("%q took %v, want at most %v", args, took, d)
	}
	return stdout, stderr, code
}

// goesOn checks that what needs no network works, and at once.
func (a *away) goesOn() {
	a.t.Helper()
	for _, script := range []string{
		`ls -l r r/core-3; ls -U ` + a.remote("blocks") + ` | wc -l`,
		`stat ` + a.remote() + ` ` + a.remote("log") + ` ` + a.remote("blocks", "3"),
		`df r ` + a.remote("log"),
		`cat ` + a.remote("blocks", "7") + ` && ` + a.part(90),
		`cat ` + a.remote("length") + ` ` + a.remote("info.json") + ` r/status.json`,
		`echo another own message > r/append && dd of=r/append conv=fsync status=none <<< 'on the disk' && tail -n 1 r/core-3/log`,
		`multicore --store reader status && multicore --store reader peers`,
	} {
		if _, errs, code := a.within(needsNoNetwork, "bash", "-c", script); code != 0 {
			a.t.Errorf("%s: exit code %d, %s", script, code, errs)
		}
	}
}

// TestE2ENetworkComesAndGoes takes the network away from a machine with a mount,
// in several ways: what is local never notices, nothing stops, what is remote fails
// with a reason, and works again by itself once the network is back.
func TestE2ENetworkComesAndGoes(t *testing.T) {
	a := newAway(t)
	next := 20 // the first block that the reader does not have
	for _, way := range []struct {
		name      string
		cut, mend []string
		there     bool // at the other end, where it cannot be seen from here
	}{
		{name: "the own link is down", cut: []string{"ip", "link", "set", "cable", "down"}, mend: []string{"ip", "link", "set", "cable", "up"}},
		{name: "the other end is silent", there: true, cut: []string{"ip", "address", "del", "192.0.2.1/24", "dev", "cable"}, mend: []string{"ip", "address", "add", "192.0.2.1/24", "dev", "cable"}},
	} {
		at := a.lab
		if way.there {
			at = a.there
		}
		at.must(way.cut...)
		a.goesOn()
		gone := func() bool { return len(a.status("reader").Peers) == 0 }
		if !way.there { // the kernel says so
			eventually(t, needsNoNetwork, way.name+": that is noticed", gone)
		}
		// Of a block of unknown size stat fails, at once where it is known that nobody
		// is there, and soon where that is still to be found out.
		_, errs, code := a.within(needsNoNetwork, "stat", a.remote("blocks", fmt.Sprint(next+3)))
		if code == 0 || !strings.Contains(errs, "No route to host") && (!way.there || !strings.Contains(errs, "timed out")) {
			t.Errorf("%s: stat of a block of unknown size: exit code %d, %s", way.name, code, errs)
		}
		out, errs, code := a.within(readTimeout+needsNoNetwork, "cat", a.remote("blocks", fmt.Sprint(next)))
		if code == 0 || out != "" || !strings.Contains(errs, "timed out") && !strings.Contains(errs, "No route to host") {
			t.Errorf("%s: cat of a remote block: exit code %d, %q, %s", way.name, code, out, errs)
		}
		eventually(t, patience, way.name+": the peer is known to be gone", gone)
		if _, errs, code := a.within(needsNoNetwork, "stat", a.remote("blocks", fmt.Sprint(next+4))); code == 0 || !strings.Contains(errs, "No route to host") {
			t.Errorf("%s: stat once the peer is known to be gone: exit code %d, %s", way.name, code, errs)
		}
		a.goesOn()

		at.must(way.mend...)
		mended := time.Now()
		var block string
		eventually(t, backAgain, way.name+": remote reads work again", func() bool {
			block, _, code = a.run("cat", a.remote("blocks", fmt.Sprint(next)))
			return code == 0
		})
		t.Logf("%s: works again after %v", way.name, time.Since(mended).Round(10*time.Millisecond))
		expect(t, "the block", block, a.message(next))
		expect(t, "another part", a.must("bash", "-c", a.part(next-5)), a.message(next-5))
		next += 20
	}

	// Unmounting needs no network either, also while somebody waits for one.
	a.must("ip", "link", "set", "cable", "down")
	waits := a.start("cat", a.remote("blocks", "190"))
	follows := a.start("tail", "-f", a.remote("log"))
	eventually(t, patience, "cat waits", func() bool { return waitsInMount(waits.cmd.Process.Pid) })
	if _, errs, code := a.within(needsNoNetwork, "multicore", "--store", "reader", "unmount", "r"); code != 0 {
		t.Errorf("unmount: exit code %d, %s", code, errs)
	}
	if code := waits.wait(needsNoNetwork); code == 0 {
		t.Error("cat of a block that never came succeeded")
	}
	follows.end()
	if _, err := os.Stat(a.path("r")); !os.IsNotExist(err) {
		t.Errorf("r is left behind: %v", err)
	}
}

// waitsInMount says whether a process, or a child that nsenter became, is blocked
// in a request to a mount.
func waitsInMount(pid int) bool {
	wchan, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "wchan"))
	return err == nil && (strings.Contains(string(wchan), "fuse") || strings.Contains(string(wchan), "request_wait_answer"))
}

// TestE2ETerminate tells processes to stop whose mounts are busy: readers that wait
// for blocks which nobody has, others that follow, and writers.
func TestE2ETerminate(t *testing.T) {
	p := newPair(t, "--read-timeout", "1h")
	p.sh("for i in {1..100}; do echo message $i; done > w/append")
	p.durable("writer")
	expect(t, "a block", p.must("cat", p.remote("core-3", "blocks", "3")), "message 4\n")
	half, err := os.OpenFile(p.path("w", "append"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	if _, err := half.WriteString("half a line"); err != nil {
		t.Fatal(err)
	}
	writes := p.start("bash", "-c", "set -e; for ((i = 0; ; i++)); do echo $i >&7; done 7>> w/append")
	follows := p.start("tail", "-n", "+1", "-f", p.path("w", "core-3", "log"))
	eventually(t, patience, "the writer writes", func() bool { return strings.Contains(follows.out.String(), "\n") })

	p.writer.signal(15)
	if code := p.writer.wait(5 * time.Second); code != 0 {
		t.Errorf("the writer ended with exit code %d\n%s", code, p.writer.errs.tail())
	}
	if code := writes.wait(patience); code == 0 {
		t.Error("a program goes on writing to a mount that is gone")
	}
	if out := p.must("multicore", "--store", "writer", "cat", "core-3"); !strings.Contains(out, "half a line") {
		t.Error("half a line was lost")
	}

	var waiting []*process
	for _, script := range []string{
		"exec cat " + p.remote("core-3", "blocks", "70"), "exec cat " + p.remote("core-3", "log"), "exec cat " + p.remote("core-3", "follow"),
		"exec ls r/" + someKey, "exec stat r/" + someKey + "/core-3/log", "cd r/" + someKey + "/core-3 && exec sleep infinity",
		"exec tail -n +1 -f " + p.remote("core-3", "log"),
	} {
		waiting = append(waiting, p.start("bash", "-c", script))
	}
	for _, w := range waiting {
		eventually(t, patience, strings.Join(w.args, " ")+" waits", func() bool { return waitsInMount(w.cmd.Process.Pid) })
	}
	p.reader.signal(15)
	if code := p.reader.wait(5 * time.Second); code != 0 {
		t.Errorf("the reader ended with exit code %d\n%s", code, p.reader.errs.tail())
	}
	for _, w := range waiting[:len(waiting)-1] { // tail says that it goes on
		if code := w.wait(patience); code == 0 {
			t.Errorf("%q succeeded", w.args)
		}
	}
	for _, mnt := range []string{"w", "r"} {
		if _, err := os.Stat(p.path(mnt)); !os.IsNotExist(err) {
			t.Errorf("%s is left behind: %v", mnt, err)
		}
	}
}
