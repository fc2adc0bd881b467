package fs

import (
	"context"
	"errors"

	"multicore/corestore/multicore"
	"multicore/hypercore"
)

// core is what the tree needs of a *hypercore.Core.
type core interface {
	DiscoveryKey() hypercore.DiscoveryKey
	Key() hypercore.Key
	Info() hypercore.Info
	Changed() <-chan struct{}
	Source() hypercore.Source
	Update(ctx context.Context) error
	Has(i uint64) bool
	Get(ctx context.Context, i uint64) ([]byte, error)
	Extent(ctx context.Context, i uint64) (off, size uint64, err error)
	LocalExtent(i uint64) (off, size uint64, err error)
	Seek(ctx context.Context, off uint64) (i, within uint64, err error)
	ReadAt(ctx context.Context, p []byte, off uint64) (int, error)
}

var _ core = (*hypercore.Core)(nil)

// view is what the tree needs of a multicore.View.
type view interface {
	Key() hypercore.Key
	Known() (cores []named, complete bool)
	Cores(ctx context.Context) ([]named, error)
}

// named is a core and its name in the tree: "main", "core-2", ...
type named struct {
	name string
	core core
}

// viewOf is a multicore.View as a view.
type viewOf struct{ multicore.View }

func (v viewOf) Known() ([]named, bool) {
	cores, complete := v.View.Known()
	return fromNamed(cores), complete
}

func (v viewOf) Cores(ctx context.Context) ([]named, error) {
	cores, err := v.View.Cores(ctx)
	return fromNamed(cores), err
}

func fromNamed(cores []multicore.Named) []named {
	out := make([]named, len(cores))
	for i, c := range cores {
		out[i] = named{name: c.Name, core: c.Core}
	}
	return out
}

// writer is what append files need of the own multicore.
type writer interface {
	newFramer(core string) framer
	Flush(ctx context.Context) error
}

// framer is what an open append file needs of a *multicore.Framer.
type framer interface {
	Write(ctx context.Context, p []byte) (int, error)
	End(ctx context.Context) error
}

// ownWriter is the own multicore as a writer.
type ownWriter struct {
	*multicore.Own
	framing multicore.FramerOptions // but for the core
}

func (w ownWriter) newFramer(core string) framer {
	o := w.framing
	o.Core = core
	return w.NewFramer(o)
}

// errNotThere is when the path names a core that the multicore has not, or a
// block beyond its length.
var errNotThere = errors.New("no such core or block")

// coreRef names a core of a multicore. Whether there is one of that name may
// turn out only when block 0 is known.
type coreRef struct {
	open func() (view, error) // opens the multicore at first use; never waits
	name string
}

// known gives the core without waiting. It is nil where block 0 is not known
// yet; errNotThere where the multicore has no core of that name.
func (r coreRef) known() (core, error) {
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
func (r coreRef) get(ctx context.Context) (core, error) {
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
func (r coreRef) learned(ctx context.Context) (core, hypercore.Info, error) {
	c, err := r.get(ctx)
	if err != nil {
		return nil, hypercore.Info{}, err
	}
	info, err := learn(ctx, c)
	return c, info, err
}

func find(cores []named, name string) core {
	for _, c := range cores {
		if c.name == name {
			return c.core
		}
	}
	return nil
}
