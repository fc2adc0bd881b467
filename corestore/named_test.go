package corestore

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// The long run has a hundred thousand:
//
//	go test ./corestore -run TestManyNamedCores -v -timeout 0 -named-cores 100000
var namedCores = flag.Int("named-cores", 2000, "cores of the store that TestManyNamedCores opens")

// The two processes of TestManyNamedCores, by manyRole.
const (
	namedMaker  = "named-maker"
	namedOpener = "named-opener"
)

// TestManyNamedCores: what opening a store costs, and how much memory it takes, does
// not depend on how many cores are in it.
func TestManyNamedCores(t *testing.T) {
	dir := t.TempDir()
	maker := startMany(t, namedMaker, dir, *namedCores)
	made := maker.line()
	maker.end()
	if err := maker.cmd.Wait(); err != nil { // it has the store until then
		t.Fatal(err)
	}
	opener := startMany(t, namedOpener, dir, *namedCores)
	opened := opener.line()
	opener.end()
	t.Logf("%d cores, made: %v; opened: %v", *namedCores, made, opened)
	if opened["cpu"] > 1 {
		t.Errorf("opening takes %.2f s of processor time", opened["cpu"])
	}
	if opened["resident"] > 100 || opened["peak"] > 100 {
		t.Errorf("opened, it has %.0f MB resident, %.0f at most", opened["resident"], opened["peak"])
	}
}

// playNamed is the main function of both.
func playNamed(role string) error {
	count, err := strconv.Atoi(os.Getenv(manyCount))
	if err != nil {
		return err
	}
	began := time.Now()
	s, err := Open(filepath.Join(os.Getenv(manyDir), "store"), Options{Create: role == namedMaker})
	if err != nil {
		return err
	}
	opened := time.Since(began)
	if role == namedMaker {
		err = makeNamed(s, count)
	} else {
		err = openNamed(s, count-1)
	}
	if err != nil {
		return err
	}
	resident, err := residentNow()
	if err != nil {
		return err
	}
	fmt.Printf("open=%.4f seconds=%.4f resident=%.1f %s\n", opened.Seconds(), time.Since(began).Seconds(), resident, usedNow())
	io.Copy(io.Discard, os.Stdin) // until the parent has what it wants
	printUsed()
	return s.Close()
}

func blockOfNamed(i int) []byte { return fmt.Appendf(nil, "block 0 of core %d\n", i) }

func makeNamed(s *Store, count int) error {
	for i := range count {
		c, err := s.OpenName(Namespace{}, fmt.Sprint("core ", i), 0)
		if err != nil {
			return err
		}
		if _, err := c.Append(context.Background(), blockOfNamed(i)); err != nil {
			return err
		}
	}
	return s.Flusher().Flush(context.Background())
}

// openNamed opens one of the cores.
func openNamed(s *Store, i int) error {
	c, err := s.OpenName(Namespace{}, fmt.Sprint("core ", i), 0)
	if err != nil {
		return err
	}
	b, err := c.Block(0)
	if err == nil && !bytes.Equal(b, blockOfNamed(i)) {
		err = fmt.Errorf("core %d has block %q", i, b)
	}
	return errors.Join(err, c.Close())
}

// residentNow is the memory that is in use, in MB.
func residentNow() (float64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, text, ok := bytes.Cut(text, []byte("VmRSS:"))
	fields := bytes.Fields(text)
	if !ok || len(fields) == 0 {
		return 0, errors.New("/proc/self/status has no VmRSS")
	}
	kb, err := strconv.ParseFloat(string(fields[0]), 64)
	return kb / 1e3, err
}
