package fs

import (
	"context"
	"errors"

	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// errNotThere is when the path names a core that the multicore has not, or a
// block beyond its length.
var errNotThere = errors.New("no such core or block")

// coreRef names a core of a multicore. Whether there is one of that name may
// turn out only when block 0 is known.
type coreRef struct {
	open func() (multicore.View, error) // opens the multicore at first use; never waits
	name string
}

// known gives the core without waiting. It is nil where block 0 is not known
// yet; errNotThere where the multicore has no core of that name.
func (r coreRef) known() (*hypercore.Core, error) {
	v, err := r.open()
	if err != nil {
		return nil, err
	}
	cores, complete := v.Known()
	c := find(cores, r.name)
	if c == nil && complete {
		return nil, errNotThere
	}
	return c, nil
}

// get gives the core, waiting for block 0 where that is needed.
func (r coreRef) get(ctx context.Context) (*hypercore.Core, error) {
	if c, err := r.known(); c != nil || err != nil {
		return c, err
	}
	v, err := r.open()
	if err != nil {
		return nil, err
	}
	cores, err := v.Cores(ctx)
	if err != nil {
		return nil, err
	}
	if c := find(cores, r.name); c != nil {
		return c, nil
	}
	return nil, errNotThere
}

// learned gives the core once its length is known, be it 0, and its Info.
func (r coreRef) learned(ctx context.Context) (*hypercore.Core, hypercore.Info, error) {
	c, err := r.get(ctx)
	if err != nil {
		return nil, hypercore.Info{}, err
	}
	info, err := learn(ctx, c)
	return c, info, err
}

func find(cores []multicore.Named, name string) *hypercore.Core {
	for _, c := range cores {
		if c.Name == name {
			return c.Core
		}
	}
	return nil
}
