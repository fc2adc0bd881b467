package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "child" {
		if err := child(); err != nil {
			fail(err)
		}
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	quick   bool
	json    bool
	rounds  int
	names   string
	ways    string
	dir     string
	scripts string
	profile string
}

func run() error {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "small sizes and one round: checks that every cell can be produced, says nothing about speed")
	flag.BoolVar(&o.json, "json", false, "print every sample as JSON instead of the table")
	flag.IntVar(&o.rounds, "rounds", 5, "measure `N` times, interleaved")
	flag.StringVar(&o.names, "case", "", "only the cases `NAME,...`: "+strings.Join(names(), ", "))
	flag.StringVar(&o.ways, "way", "", "only in the ways `NAME,...`: "+strings.Join(everyWay, ", "))
	flag.StringVar(&o.dir, "dir", "", "make stores in a directory inside `DIR`, which should be on a disk (default: /var/tmp)")
	flag.StringVar(&o.profile, "profile", "", "leave processor profiles of ours in `DIR`, of the last round, while it is measured")
	flag.StringVar(&o.scripts, "scripts", "scripts/interop/bench", "`DIR` of the JavaScript programs")
	flag.Parse()
	kinds, err := choose(o.names)
	if err != nil {
		return err
	}
	ways, err := chooseWays(o.ways)
	if err != nil {
		return err
	}
	if o.quick {
		o.rounds = 1
	}
	if flag.NArg() > 0 || o.rounds < 1 {
		return errors.New("want flags only, and at least one round")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := newBench(ctx, o)
	if b != nil {
		defer os.RemoveAll(b.dir)
	}
	if err != nil {
		return err
	}
	kinds, err = b.possible(kinds)
	if err != nil {
		return err
	}
	r, err := b.rounds(kinds, ways, o.rounds)
	if err != nil {
		err = fmt.Errorf("%w\nonly what was measured until then is shown", err)
	}
	if o.json {
		return errors.Join(err, json.NewEncoder(os.Stdout).Encode(map[string]any{"about": b.about(o), "samples": r}))
	}
	for _, line := range b.about(o) {
		fmt.Println(line)
	}
	fmt.Println()
	r.markdown(os.Stdout, kinds, o.quick)
	return err
}

// possible leaves out what this machine cannot measure, but in CI, and has the
// reasons told.
func (b *bench) possible(kinds []*kind) (can []*kind, err error) {
	for _, k := range kinds {
		if k.missing == nil {
			can = append(can, k)
			continue
		}
		switch err := k.missing(); {
		case err == nil:
			can = append(can, k)
		case os.Getenv("CI") == "true":
			return nil, fmt.Errorf("%s: %w", k.name, err)
		default:
			b.skipped = append(b.skipped, fmt.Sprintf("Not measured: %s (%v).", k.name, err))
		}
	}
	return can, nil
}

func names() (all []string) {
	for _, k := range cases {
		all = append(all, k.name)
	}
	return all
}

// choose gives the cases of that names; of none, all.
func choose(list string) ([]*kind, error) {
	if list == "" {
		return cases, nil
	}
	var chosen []*kind
next:
	for name := range strings.SplitSeq(list, ",") {
		for _, k := range cases {
			if k.name == name {
				chosen = append(chosen, k)
				continue next
			}
		}
		return nil, fmt.Errorf("no case %q, want one of %s", name, strings.Join(names(), ", "))
	}
	return chosen, nil
}

// newBench gives what its caller has to remove the directory of, also with an
// error.
func newBench(ctx context.Context, o options) (*bench, error) {
	if o.dir == "" {
		o.dir = "/var/tmp"
	}
	b := &bench{ctx: ctx, quick: o.quick, node: "node", revision: revision(), filled: map[string]*store{}}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if b.scripts, err = filepath.Abs(o.scripts); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp(o.dir, "multicore-bench-"); err != nil {
		return nil, err
	}
	if o.profile != "" {
		if b.profile, err = filepath.Abs(o.profile); err == nil {
			err = os.MkdirAll(b.profile, 0o755)
		}
		if err != nil {
			return b, err
		}
	}
	b.pool = filepath.Join(b.dir, "pool")
	pool := make([]byte, poolSize)
	rand.NewChaCha8([32]byte{'b', 'e', 'n', 'c', 'h'}).Read(pool)
	return b, os.WriteFile(b.pool, pool, 0o600)
}

// chooseWays gives the ways of that names; of none, all.
func chooseWays(list string) ([]string, error) {
	if list == "" {
		return everyWay, nil
	}
	ways := strings.Split(list, ",")
	for _, way := range ways {
		if !slices.Contains(everyWay, way) {
			return nil, fmt.Errorf("no way %q, want one of %s", way, strings.Join(everyWay, ", "))
		}
	}
	return ways, nil
}
