package multicore

import (
	"context"
	"fmt"
	"strings"

	"multicore/hypercore"
	"multicore/hypercore/replicate"
)

// Swarm is what a multicore needs of a network; *replicate.Swarm is one. A nil
// Swarm is no network.
type Swarm interface {
	Attach(core *hypercore.Core, o replicate.AttachOptions) *replicate.Attachment
	// Reached says whether any peer ever proved the core.
	Reached(d hypercore.DiscoveryKey) bool
}

// Named is a core and its place in the tree: "main", "core-2", "core-3", ...
type Named struct {
	Name string
	Core *hypercore.Core
}

// View is a multicore to read, own or remote. Safe for concurrent use.
type View interface {
	Key() hypercore.Key
	Main() *hypercore.Core
	// Known gives the cores learned so far, main first, and never waits for a
	// network; complete says whether all of them are known.
	Known() (cores []Named, complete bool)
	// Cores waits until block 0 is known, fetching it, or ctx ends. Where main
	// was verified to be empty it gives main alone.
	Cores(ctx context.Context) ([]Named, error)
}

var (
	_ View = (*Own)(nil)
	_ View = (*Remote)(nil)
)

// MainName is the name of the core whose block 0 names the others.
const MainName = "main"

// CoreName is the name of the core at place i of a multicore: "main" for 0,
// "core-2" for 1.
func CoreName(i int) string {
	if i == 0 {
		return MainName
	}
	return fmt.Sprintf("core-%d", i+1)
}

// IsCoreName says whether s has the form of a core's name: "main", or "core-"
// and a number.
func IsCoreName(s string) bool {
	digits, ok := strings.CutPrefix(s, "core-")
	return s == MainName || ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}
