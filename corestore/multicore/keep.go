package multicore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/replicate"
)

// Keep says how much of a followed multicore is kept; the zero value is all of
// it. What is older is cleared as new blocks come, and fetched where it is read.
type Keep struct {
	Last  uint64 // of each core the newest so many blocks; 0: all
	Bytes uint64 // of all cores together the newest blocks up to so many bytes; 0: all
}

// All says whether nothing is left out.
func (k Keep) All() bool { return k == Keep{} }

const (
	// trimEvery is how often what has become too old is cleared, all that gathered
	// meanwhile at once.
	trimEvery = time.Second
	// trimAgain is when it is tried again after it failed.
	trimAgain = 10 * time.Second
	// trimPatience bounds the search, which may ask peers, for the block at
	// which what is kept begins.
	trimPatience = 30 * time.Second
)

// SetKeep limits what SetDownload fetches and what of it stays, also of cores
// that are learned later. While the Remote is open and its store has a network,
// what becomes too old is cleared about once a second.
func (r *Remote) SetKeep(k Keep) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.keep == k {
		return
	}
	r.keep = k
	for i := range r.presence {
		p := &r.presence[i]
		if k.Bytes > 0 {
			p.newest = 0 // until Trim has found it out
		}
		if k.All() {
			p.floor = 0 // Follow recorded that
		}
	}
	for i, a := range r.attach {
		if a != nil {
			a.SetSelection(r.selection(i))
		}
	}
	if !r.trimming && r.sw != nil {
		r.trimming = true
		r.work.Go(r.keepTrim)
	}
	r.stir()
}

// selection is what of core i is to be downloaded; r.mu is held.
func (r *Remote) selection(i int) replicate.Selection {
	p := r.presence[i]
	s := replicate.Selection{Newest: r.keep.Last, Except: slices.Clone(p.cleared)}
	if r.keep.Bytes > 0 && (s.Newest == 0 || p.newest < s.Newest) {
		if s.Newest = p.newest; s.Newest == 0 {
			s.Newest = replicate.None
		}
	}
	return s
}

// noted takes an event of core i.
func (r *Remote) noted(i int, e hypercore.Event) {
	switch e.Kind {
	case hypercore.Truncated:
		r.mu.Lock()
		p := &r.presence[i]
		p.cut(r.sessions[i].Info().Fork, e.From)
		if i < len(r.attach) && r.attach[i] != nil {
			a, s := r.attach[i], r.selection(i)
			defer a.SetSelection(s)
		}
		r.mu.Unlock()
	case hypercore.Upgraded:
	default:
		return
	}
	r.stir()
}

// stir wakes keepTrim.
func (r *Remote) stir() {
	select {
	case r.moved <- struct{}{}:
	default:
	}
}

// keepTrim trims as the cores grow, until Close.
func (r *Remote) keepTrim() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-r.moved:
		case <-r.ctx.Done():
			return
		}
		select {
		case <-pause.C:
		case <-r.ctx.Done():
			return
		}
		every := trimEvery
		if r.Trim(r.ctx) != nil {
			every = trimAgain
			r.stir()
		}
		pause.Reset(every)
	}
}

// Trim finds out what is to be kept and clears what is too old. Where peers are
// needed for that and none answers, nothing more is cleared.
func (r *Remote) Trim(ctx context.Context) error {
	r.trims.Lock()
	defer r.trims.Unlock()
	r.mu.Lock()
	keep, cores := r.keep, slices.Clone(r.sessions)
	r.mu.Unlock()
	if keep.All() {
		return nil
	}
	infos := make([]hypercore.Info, len(cores))
	sizes := make([]uint64, len(cores))
	for i, c := range cores {
		infos[i] = c.Info()
		sizes[i] = infos[i].ByteLength
	}
	shares := share(keep.Bytes, sizes)
	var errs []error
	for i, c := range cores {
		if c.Writable() {
			continue
		}
		info := infos[i]
		floor := uint64(0)
		if keep.Last > 0 {
			floor = info.Length - min(keep.Last, info.Length)
		}
		if keep.Bytes > 0 {
			at, err := firstWithin(ctx, c.Core, info, shares[i])
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", CoreName(i), err))
				continue
			}
			floor = max(floor, at)
		}
		if i == 0 && len(cores) > 1 {
			// Block 0 of main names the others: it stays, whatever else goes.
			errs = append(errs, r.trimCore(ctx, i, info, 1, floor))
			continue
		}
		errs = append(errs, r.trimCore(ctx, i, info, 0, floor))
	}
	return errors.Join(errs...)
}

// trimCore clears what of core i lies between least and floor and was kept so
// far.
func (r *Remote) trimCore(ctx context.Context, i int, info hypercore.Info, least, floor uint64) error {
	r.mu.Lock()
	if r.closed || r.presence[i].fork != info.Fork {
		r.mu.Unlock()
		return nil // an event is under way that wakes us again
	}
	p := &r.presence[i]
	was := p.floor
	from := max(least, min(was, floor))
	p.newest = info.Length - floor
	p.floor = floor
	core, a := r.sessions[i].Core, r.attach[i]
	if a != nil && r.keep.Bytes > 0 {
		a.SetSelection(r.selection(i))
	}
	r.mu.Unlock()
	if was == floor {
		return nil
	}
	var err error
	if from < floor {
		if err = core.Flush(ctx); err == nil { // what is not durable is not cleared
			_, err = core.Clear(ctx, from, floor)
		}
	}
	r.recording.Lock()
	defer r.recording.Unlock()
	r.mu.Lock()
	now := r.presence[i]
	r.mu.Unlock()
	if err == nil {
		// A floor that came down is recorded too, or what is kept anew was cache.
		_, err = storePresence(r.st, r.key, core.DiscoveryKey(), now)
	}
	if err != nil {
		r.mu.Lock()
		if p = &r.presence[i]; p.fork == info.Fork && p.floor == floor {
			p.floor = was // it is tried again
		}
		r.mu.Unlock()
	}
	return err
}

// firstWithin is the first block of the newest ones that take at most so many
// bytes.
func firstWithin(ctx context.Context, c *hypercore.Core, info hypercore.Info, most uint64) (uint64, error) {
	if most >= info.ByteLength {
		return 0, nil
	}
	if most == 0 {
		return info.Length, nil
	}
	ctx, cancel := context.WithTimeout(ctx, trimPatience)
	defer cancel()
	i, within, err := c.Seek(ctx, info.ByteLength-most)
	if err == nil && within > 0 {
		i++
	}
	return i, err
}

// share divides bytes between cores of some sizes: small ones are kept whole,
// the others get the same of what is left.
func share(total uint64, sizes []uint64) []uint64 {
	order := make([]int, len(sizes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case sizes[a] < sizes[b]:
			return -1
		case sizes[a] > sizes[b]:
			return 1
		}
		return 0
	})
	out := make([]uint64, len(sizes))
	for n, i := range order {
		out[i] = min(sizes[i], total/uint64(len(order)-n))
		total -= out[i]
	}
	return out
}

// Clear gives up blocks [from, to) of the core at a place of Known. While the
// multicore is followed they are not downloaded again, over restarts too, but
// where somebody reads them. Block 0 of a main core that names others stays.
func (r *Remote) Clear(ctx context.Context, place int, from, to uint64) (hypercore.Amount, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return hypercore.Amount{}, ErrClosed
	}
	if place == placeMain && len(r.sessions) > 1 {
		from = max(from, 1)
	}
	core := r.sessions[place].Core
	r.mu.Unlock()
	if err := core.Flush(ctx); err != nil { // what is not durable is not cleared
		return hypercore.Amount{}, err
	}
	if err := r.leaveOut(place, core, from, min(to, core.Info().Length)); err != nil {
		return hypercore.Amount{}, err
	}
	return core.Clear(ctx, from, to)
}

// leaveOut writes down that blocks are not to be downloaded, where there is a
// download, and tells it.
func (r *Remote) leaveOut(place int, core *hypercore.Core, from, to uint64) error {
	r.recording.Lock()
	defer r.recording.Unlock()
	r.mu.Lock()
	next := r.presence[place]
	r.mu.Unlock()
	next.clear(from, to)
	if followed, err := storePresence(r.st, r.key, core.DiscoveryKey(), next); err != nil || !followed {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := &r.presence[place]; p.fork == next.fork && !r.closed {
		p.clear(from, to)
		if a := r.attach[place]; a != nil {
			a.SetSelection(r.selection(place))
		}
	}
	return nil
}

// Missing gives what of the core at a place is to be downloaded and is not held,
// as far as its length is known here: stretches in order, at most so many, and
// how many blocks that are in all. Of what is kept up to a number of bytes that is
// only true after Trim.
func (r *Remote) Missing(place, most int) (list []replicate.Range, blocks uint64) {
	r.mu.Lock()
	c, s := r.sessions[place].Core, r.selection(place)
	r.mu.Unlock()
	info := c.Info()
	at := uint64(0)
	switch {
	case s.Newest == replicate.None:
		return nil, 0
	case s.Newest > 0:
		at = info.Length - min(s.Newest, info.Length)
	}
	at = max(at, info.Contiguous)
	look := func(to uint64) {
		runs, n := c.Lacking(at, to, most-len(list))
		blocks += n
		for _, run := range runs {
			list = append(list, replicate.Range(run))
		}
	}
	for _, left := range s.Except { // sorted, and apart from each other
		look(min(left.From, info.Length))
		at = max(at, left.To)
	}
	look(info.Length)
	return list, blocks
}

// Complete says whether Missing is nothing.
func (r *Remote) Complete(place int) bool {
	_, blocks := r.Missing(place, 0)
	return blocks == 0
}
