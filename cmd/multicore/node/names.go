package node

import (
	"fmt"
	"maps"
	"time"

	"multicore/corestore/multicore"
	"multicore/fs"
	"multicore/hypercore"
)

// Names gives the names of the followed multicores, as every mount shows them.
func (n *Node) Names() fs.Names { return *n.names.Load() }

// noteNames reads the list of the followed again, after it may have changed;
// n.followMu is held.
func (n *Node) noteNames() error {
	list, err := multicore.List(n.store)
	if err != nil {
		return fmt.Errorf("read names: %w", err)
	}
	now := fs.Names{Keys: make(map[string]hypercore.Key)}
	for _, f := range list {
		if f.Name != "" {
			now.Keys[f.Name] = f.Key
		}
	}
	before := n.names.Load()
	switch {
	case before == nil: // when they changed last nobody knows
	case maps.Equal(before.Keys, now.Keys):
		return nil
	default:
		now.Changed = time.Now()
	}
	n.names.Store(&now)
	return nil
}
