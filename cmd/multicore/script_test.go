package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"multicore/cmd/multicore/control"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"multicore": checkedMain})
}

// TestScript runs testdata/script/*.txtar against the real command. What a
// script starts speaks to loopback only.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars,
				"MULTICORE_STORE="+e.WorkDir+"/store",
				"MULTICORE_DHT=off",
				"MULTICORE_MDNS=false",
				"MULTICORE_LISTEN=/ip4/127.0.0.1/tcp/0",
				"XDG_RUNTIME_DIR="+e.WorkDir+"/run",
			)
			e.Values[spawnedKey{}] = map[string]*spawned{}
			e.Defer(func() { cleanUp(e.WorkDir) })
			return os.Mkdir(e.WorkDir+"/run", 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "spawn": spawn, "signal": signalSpawned, "ended": ended, "await": await, "setenv": setenv,
			"damage": damage, "mounted": mounted, "gone": gone, "examined": examined,
		},
		Condition:           condition,
		RequireExplicitExec: true,
	})
}

// condition knows [fuse] and programs, which on CI must be there: a mount that is
// never tested there would rot.
func condition(name string) (bool, error) {
	switch name {
	case "fuse":
		f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
		if err == nil {
			f.Close()
			return true, nil
		}
		if os.Getenv("CI") == "true" {
			return false, fmt.Errorf("no FUSE on CI: %w", err)
		}
		return false, nil
	case "zsh", "fish", "groff":
		_, err := exec.LookPath(name)
		if err != nil && os.Getenv("CI") == "true" {
			return false, fmt.Errorf("no %s on CI: %w", name, err)
		}
		return err == nil, nil
	case "unshare":
		return os.Geteuid() == 0 && exec.Command("unshare", "-m", "true").Run() == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// cleanUp ends what a script that failed left behind: daemons, which serve a
// control socket, and mounts.
func cleanUp(work string) {
	filepath.WalkDir(work, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir
		}
		if d.Type()&fs.ModeSocket == 0 {
			return nil
		}
		if c, err := control.Dial(context.Background(), filepath.Dir(path)); err == nil {
			syscall.Kill(c.PID(), syscall.SIGTERM)
			c.Close()
		}
		return nil
	})
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], work+"/") {
			unix.Unmount(f[4], unix.MNT_DETACH)
		}
	}
}

// exits CODE PROGRAM ARG...: like exec, with this exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
	// A user sees lines that say whose they are, and of a mistake just one.
	said := ts.ReadFile("stderr")
	for line := range strings.Lines(said) {
		if args[1] == "multicore" && !strings.HasPrefix(line, "multicore: ") && !strings.HasPrefix(line, `{"time":`) {
			ts.Fatalf("stderr has the line %q", line)
		}
	}
	if code == int(control.Usage) && strings.Count(said, "\n") != 1 {
		ts.Fatalf("of a mistake it says more than one line")
	}
}

// mounted PATH waits until a multicore is mounted there, and answers.
func mounted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: mounted PATH")
	}
	awaitPath(ts, filepath.Join(args[0], "key"), func(err error) bool { return err == nil })
}

// gone PATH waits until nothing is there any more, no mount and no directory.
func gone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gone PATH")
	}
	awaitPath(ts, args[0], func(err error) bool { return errors.Is(err, fs.ErrNotExist) })
}

// awaitPath waits until a look at a path ends in that way.
func awaitPath(ts *testscript.TestScript, path string, ok func(error) bool) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C {
		_, err := os.Stat(ts.MkAbs(path))
		if ok(err) {
			return
		}
		if time.Since(began) > scriptPatience {
			ts.Fatalf("%s: %v", path, err)
		}
	}
}

// examined CODE LINE: like exits with a line for the shell, in a mount namespace
// without the mounts of other tests, which may be dead or hang.
func examined(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: examined CODE LINE")
	}
	const alone = `awk '/ - fuse.multicore / { print $5 }' /proc/self/mountinfo | { grep -v "^$WORK/" || true; } | xargs -r -n 1 umount -l 2>/dev/null; `
	exits(ts, false, []string{args[0], "unshare", "-m", "sh", "-c", alone + args[1]})
}

// damage FILE OFFSET: that byte of the file becomes another one.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: damage FILE OFFSET")
	}
	off, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, off)
	ts.Check(err)
	b[0]++
	_, err = f.WriteAt(b, off)
	ts.Check(err)
}

// spawned is a program in the background, which writes to NAME.out and
// NAME.err, and reads the named pipe NAME.in if there is one.
type spawned struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once it ended
}

type spawnedKey struct{}

func byName(ts *testscript.TestScript) map[string]*spawned {
	return ts.Value(spawnedKey{}).(map[string]*spawned)
}

// spawn NAME PROGRAM ARG...
func spawn(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: spawn NAME PROGRAM ARG...")
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR", "GOCOVERDIR", "MULTICORE_STORE", "MULTICORE_DHT", "MULTICORE_MDNS", "MULTICORE_LISTEN"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	stdout, err := os.Create(ts.MkAbs(args[0] + ".out"))
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.Create(ts.MkAbs(args[0] + ".err"))
	ts.Check(err)
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// Opened both ways, so that neither end waits for the other, and the
	// stream does not end while the script writes line after line.
	if in, err := os.OpenFile(ts.MkAbs(args[0]+".in"), os.O_RDWR, 0); err == nil {
		defer in.Close()
		cmd.Stdin = in
	}
	ts.Check(cmd.Start())
	s := &spawned{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		cmd.Wait()
	}()
	byName(ts)[args[0]] = s
	ts.Defer(func() {
		cmd.Process.Kill()
		<-s.done
	})
}

// signal NAME INT|TERM|HUP|KILL|STOP|CONT
func signalSpawned(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || byName(ts)[args[0]] == nil {
		ts.Fatalf("usage: signal NAME SIGNAL")
	}
	sig := unix.SignalNum("SIG" + args[1])
	if sig == 0 {
		ts.Fatalf("no signal %s", args[1])
	}
	ts.Check(byName(ts)[args[0]].cmd.Process.Signal(sig))
}

// ended NAME CODE waits until it ended, and checks how.
func ended(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || byName(ts)[args[0]] == nil {
		ts.Fatalf("usage: ended NAME CODE")
	}
	s := byName(ts)[args[0]]
	select {
	case <-s.done:
	case <-time.After(scriptPatience):
		ts.Fatalf("%s still runs", args[0])
	}
	if code := s.cmd.ProcessState.ExitCode(); strconv.Itoa(code) != args[1] {
		ts.Fatalf("%s: exit code %d, want %s; it said: %s", args[0], code, args[1], ts.ReadFile(args[0]+".err"))
	}
}

const scriptPatience = 15 * time.Second

// await FILE REGEXP waits until the file has it.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && re.Match(text) {
			return
		}
		if time.Since(began) > scriptPatience {
			ts.Fatalf("%s never had %s: %q, %v", args[0], args[1], text, err)
		}
	}
}

// setenv NAME FILE [REGEXP] sets a variable to what is in the file, spaces
// around it cut, or to the first group of the expression.
func setenv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: setenv NAME FILE [REGEXP]")
	}
	value := strings.TrimSpace(ts.ReadFile(args[1]))
	if len(args) == 3 {
		re, err := regexp.Compile("(?m)" + args[2])
		ts.Check(err)
		m := re.FindStringSubmatch(value)
		if len(m) != 2 {
			ts.Fatalf("%s has no %s: %q", args[1], args[2], value)
		}
		value = m[1]
	}
	ts.Setenv(args[0], value)
}

// TestScriptsCoverCommands: the scripts call each command in a right way, with a
// mistake, and with --json.
func TestScriptsCoverCommands(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	app := (&program{}).app()
	type uses struct{ right, wrong, json bool }
	seen := map[string]*uses{}
	for _, c := range app.VisibleCommands() {
		seen[c.Name] = new(uses)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		script, _, _ := strings.Cut(string(text), "\n-- ")
		for line := range strings.Lines(script) {
			words := strings.Fields(strings.ReplaceAll(line, "'", " "))
			at := slices.Index(words, "multicore")
			if at < 1 {
				continue
			}
			args := words[at:]
			wrong := regexp.MustCompile(`^\d+$`).MatchString(words[at-1]) && words[at-1] != "0"
			name := ""
			for _, w := range args[1:] {
				if c := app.Command(w); c != nil {
					name = c.Name
					break
				}
			}
			if u := seen[name]; u != nil {
				u.right = u.right || !wrong
				u.wrong = u.wrong || wrong
				_, json := printsJSON(args)
				u.json = u.json || json
			}
		}
	}
	for name, u := range seen {
		if !u.right || !u.wrong || !u.json && name != "help" {
			t.Errorf("%s: the scripts have %+v", name, *u)
		}
	}
}
