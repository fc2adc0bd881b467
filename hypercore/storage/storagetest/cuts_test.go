package storagetest_test

import (
	"flag"
	"testing"
)

var (
	cutCount = flag.Int("cuts", 2000, "power cuts of TestPowerCuts")
	cutSeed  = flag.Int64("cut-seed", -1, "the one seed that TestPowerCuts runs; -1: from 0 on")
)

// livesOfWorld is the number of lives of a seed.
const livesOfWorld = 14

// TestPowerCuts: cores of every kind are appended to, flushed, cleared,
// truncated, held, adopted and followed on one store, whose process dies, and
// mostly the machine with it, at some step. After each cut the store opens, each
// log is what survived the cut before and what was appended since, as far as it
// must be; no head that peers could have seen is missing or contradicted; blocks,
// nodes and signatures agree.
func TestPowerCuts(t *testing.T) {
	if testing.Short() {
		t.Skip("the run without -short does it")
	}
	if *cutSeed >= 0 {
		_, trace, err := run(t, uint64(*cutSeed), livesOfWorld, none)
		t.Log(trace)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	cuts, seed := 0, uint64(0)
	for ; cuts < *cutCount && !t.Failed(); seed++ {
		n, _, err := run(t, seed, livesOfWorld, none)
		if err != nil {
			t.Fatal(err)
		}
		cuts += n
		if seed%1000 == 999 {
			t.Logf("%d seeds, %d cuts", seed+1, cuts)
		}
	}
	t.Logf("%d power cuts in %d worlds", cuts, seed)
}

// TestPowerCutsRepeat: a seed gives the same run again. Goroutines of the engine
// that are preempted at the wrong moment change it now and then, so a seed has
// some tries.
func TestPowerCutsRepeat(t *testing.T) {
	const tries = 6
	for seed := range uint64(6) {
		seen := make(map[string]bool)
		for try := 0; ; try++ {
			_, trace, err := run(t, seed+10, livesOfWorld, none)
			if err != nil {
				t.Fatal(err)
			}
			if seen[trace] {
				break
			}
			if seen[trace] = true; try == tries {
				t.Fatalf("seed %d ran in %d ways, the last:\n%s", seed+10, len(seen), trace)
			}
		}
	}
}

// TestPlantedBugs: what a wrong program does is found within the cuts of a
// normal run.
func TestPlantedBugs(t *testing.T) {
	for _, b := range []bug{
		skipBlocksSync, skipTreeSync, skipOneSync, skipDirSync, commitFirst,
		keepStaleNodes, dropDeferred, punchFirst, unsyncedCutting,
	} {
		t.Run(string(b), func(t *testing.T) {
			cuts := 0
			for seed := uint64(0); cuts < 2000; seed++ {
				n, _, err := run(t, seed, livesOfWorld, b)
				cuts += n
				if err != nil {
					t.Logf("after %d cuts: %.160s", cuts, err.Error())
					return
				}
			}
			t.Fatalf("not found in %d cuts", cuts)
		})
	}
}
