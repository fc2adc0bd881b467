package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
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
}

func run() error {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "small sizes and one round: checks that every cell can be produced, says nothing about speed")
	flag.BoolVar(&o.json, "json", false, "print every sample as JSON instead of the table")
	flag.IntVar(&o.rounds, "rounds", 5, "measure `N` times, interleaved")
	flag.StringVar(&o.names, "case", "", "only the cases `NAME,...`: "+strings.Join(names(), ", "))
	flag.StringVar(&o.ways, "way", "", "only in the ways `NAME,...`: "+strings.Join(everyWay, ", "))
	flag.StringVar(&o.dir, "dir", "", "make stores in a directory inside `DIR`, which should be on a disk (default: /var/tmp)")
	flag.StringVar(&o.scripts, "scripts", "scripts/interop/bench", "`DIR` of the JavaScript programs")
	flag.Parse()
	kinds, err := choose(o.names)
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
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	r, err := b.rounds(kinds, o)
	if err != nil {
		return err
	}
	if o.json {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"about": b.about(o), "samples": r})
	}
	for _, line := range b.about(o) {
		fmt.Println(line)
	}
	fmt.Println()
	r.markdown(os.Stdout, kinds, o.quick)
	return nil
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

func newBench(ctx context.Context, o options) (*bench, error) {
	if o.dir == "" {
		o.dir = "/var/tmp"
	}
	b := &bench{ctx: ctx, quick: o.quick, node: "node", filled: map[string]*store{}}
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
	b.pool = filepath.Join(b.dir, "pool")
	pool := make([]byte, poolSize)
	rand.NewChaCha8([32]byte{'b', 'e', 'n', 'c', 'h'}).Read(pool)
	return b, os.WriteFile(b.pool, pool, 0o600)
}

// rounds measures every case in every way, interleaved, and says on standard
// error what it does.
func (b *bench) rounds(kinds []*kind, o options) (results, error) {
	r := results{}
	for round := range o.rounds {
		for _, k := range kinds {
			l := k.load(b.quick)
			for i := range k.ways {
				way := k.ways[(i+round)%len(k.ways)]
				if o.ways != "" && !strings.Contains(","+o.ways+",", ","+way+",") {
					continue
				}
				began := time.Now()
				s, err := k.measure(b, k, way, l)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", k.name, way, err)
				}
				if r[k.name] == nil {
					r[k.name] = map[string][]sample{}
				}
				r[k.name][way] = append(r[k.name][way], s)
				fmt.Fprintf(os.Stderr, "round %d/%d  %-12s %-12s", round+1, o.rounds, k.name, way)
				for _, line := range k.rows(l) {
					v, ok := s.Values[line.value]
					if !ok || math.IsNaN(v) || math.IsInf(v, 0) || v <= 0 {
						return nil, fmt.Errorf("%s, %s: %s is %v", k.name, way, line.value, v)
					}
					fmt.Fprintf(os.Stderr, " %s %s", number(v), line.unit)
				}
				fmt.Fprintf(os.Stderr, "  CPU %s+%s s  peak %s+%s MB  (%.1f s)\n", number(s.Writer.CPU), number(s.Reader.CPU),
					number(float64(s.Writer.Peak)/1e6), number(float64(s.Reader.Peak)/1e6), time.Since(began).Seconds())
			}
		}
	}
	return r, nil
}
