package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// bench runs cases in a directory of its own.
type bench struct {
	ctx      context.Context
	dir      string // on disk; removed by the owner
	self     string // this program
	node     string
	scripts  string // scripts/interop/bench
	pool     string
	quick    bool
	filled   map[string]*store
	revision string   // of ours
	profile  string   // directory for processor profiles of ours; "": none
	skipped  []string // what is not measured here, and why
}

// store is a writer's store, filled once.
type store struct {
	dir  string
	warm string
	keys []string
	hash string
}

// usage is what a process took: processor time in seconds while it was
// measured, and the most memory since its start in bytes.
type usage struct {
	CPU  float64 `json:"cpu"`
	Peak uint64  `json:"peak"`
}

// sample is one measurement.
type sample struct {
	Values map[string]float64 `json:"values"`
	Writer usage              `json:"writer"`
	Reader usage              `json:"reader"` // of all, where there are several
}

// patience bounds one measurement, and the filling of a store.
const patience = 15 * time.Minute

// child is how to start a process that takes a spec.
func (b *bench) child(way, script string) []string {
	if way == js {
		return []string{b.node, filepath.Join(b.scripts, script)}
	}
	return []string{b.self, "child"}
}

// profileOf is where a process of ours leaves its profile, "" for nowhere.
func (b *bench) profileOf(k *kind, way, role string) string {
	if b.profile == "" || way == js {
		return ""
	}
	return filepath.Join(b.profile, fmt.Sprintf("%s.%s.%s.pprof", k.name, way, role))
}

// store gives the filled store of a load, for ours or for the JavaScript
// packages.
func (b *bench) store(k *kind, way string, l load) (*store, error) {
	what := fmt.Sprintf("%dx%d-%d-%d", l.count, l.size, l.cores, l.warm)
	if l.grows {
		what += "-" + k.name
	}
	name, other := "ours-"+what, "peer-"+what
	if way == js {
		name, other = other, name
	}
	if st := b.filled[name]; st != nil {
		return st, nil
	}
	st := &store{dir: filepath.Join(b.dir, name)}
	s := spec{Role: "fill", Dir: st.dir, Pool: b.pool, Count: l.count, Size: l.size, Cores: l.cores, WarmCount: l.warm}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	p, err := start(ctx, "fill "+name, b.child(way, "network.js"), s)
	if err != nil {
		return nil, err
	}
	done, err := p.expect("done")
	if err != nil {
		p.kill()
		return nil, err
	}
	if err := p.stop(); err != nil {
		return nil, err
	}
	st.warm, st.keys, st.hash = done.Warm, done.Keys, done.Hash
	if o := b.filled[other]; o != nil && o.hash != st.hash {
		return nil, fmt.Errorf("the tree hash of %s is %s, that of %s is %s: not the same payload", name, st.hash, other, o.hash)
	}
	b.filled[name] = st
	return st, nil
}

// settle has the disk take what earlier measurements left behind, so that the
// next one does not pay for it. A quick run, which says nothing about speed,
// does not wait.
func (b *bench) settle() error {
	if b.quick {
		return nil
	}
	d, err := os.Open(b.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

// network measures a case of a writer and a reader.
func (b *bench) network(k *kind, way string, l load) (sample, error) {
	writer := spec{
		Role: "writer", Task: k.task, Pool: b.pool, Transport: overLibp2p, Count: l.count, Size: l.size,
		Samples: l.samples, Inflight: l.inflight, WarmCount: l.warm,
	}
	if way == oursTCP || way == js || way == ceilingTCP {
		writer.Transport = overTCP
	}
	scratch, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(scratch)
	reader := writer
	reader.Role, reader.Dir = "reader", filepath.Join(scratch, "reader")
	var from *store
	if way == ceiling || way == ceilingTCP {
		writer.Role, reader.Role, writer.Dir = "bare-writer", "bare-reader", scratch
	} else {
		if from, err = b.store(k, way, l); err != nil {
			return sample{}, err
		}
		writer.Dir, writer.Warm, writer.Keys = from.dir, from.warm, from.keys
		reader.Warm, reader.Keys = from.warm, from.keys
	}
	writer.Profile, reader.Profile = b.profileOf(k, way, "writer"), b.profileOf(k, way, "reader")
	if err := b.settle(); err != nil {
		return sample{}, err
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	w, err := start(ctx, k.name+" writer ("+way+")", b.child(way, "network.js"), writer)
	if err != nil {
		return sample{}, err
	}
	defer w.kill()
	ready, err := w.expect("ready")
	if err != nil {
		return sample{}, err
	}
	reader.Addr = ready.Addr
	r, err := start(ctx, k.name+" reader ("+way+")", b.child(way, "network.js"), reader)
	if err != nil {
		return sample{}, err
	}
	defer r.kill()
	if _, err := r.expect("ready"); err != nil {
		return sample{}, fmt.Errorf("%w\nthe writer said: %s", err, w.said)
	}
	out, done, err := exchange(w, r, k.task == taskVisible && from != nil)
	if err != nil {
		return sample{}, err
	}
	if from != nil && done.Hash != "" && done.Hash != from.hash {
		return sample{}, fmt.Errorf("%s (%s): the reader's tree hash is %s, the writer's %s", k.name, way, done.Hash, from.hash)
	}
	if err := r.stop(); err != nil {
		return sample{}, err
	}
	if err := w.stop(); err != nil {
		return sample{}, err
	}
	out.derive(l)
	return out, nil
}

// alone measures a case of one process. Where the work is on what is there
// already, it is on the store of a network case.
func (b *bench) alone(k *kind, way string, l load) (sample, error) {
	scratch, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(scratch)
	s := spec{
		Role: "local", Task: k.task, Dir: scratch, Pool: b.pool, Count: l.count, Size: l.size,
		Samples: l.samples, WarmCount: l.warmSamples, Profile: b.profileOf(k, way, "alone"),
	}
	if way == ceiling {
		s.Role = "bare-local"
	} else if l.count > 0 {
		st, err := b.store(k, way, l)
		if err != nil {
			return sample{}, err
		}
		s.Dir = st.dir
	}
	if err := b.settle(); err != nil {
		return sample{}, err
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	p, err := start(ctx, k.name+" ("+way+")", b.child(way, "local.js"), s)
	if err != nil {
		return sample{}, err
	}
	defer p.kill()
	if _, err := p.expect("ready"); err != nil {
		return sample{}, err
	}
	out, _, err := exchange(nil, p, false)
	if err != nil {
		return sample{}, err
	}
	if err := p.stop(); err != nil {
		return sample{}, err
	}
	out.derive(l)
	return out, nil
}

// disk says how much of the disk a store takes beyond its payload.
func (b *bench) disk(k *kind, way string, l load) (sample, error) {
	st, err := b.store(k, way, l)
	if err != nil {
		return sample{}, err
	}
	if err := b.settle(); err != nil { // or not all is allocated yet
		return sample{}, err
	}
	var used int64
	err = filepath.WalkDir(st.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		var stat unix.Stat_t
		if err := unix.Lstat(name, &stat); err != nil {
			return err
		}
		used += stat.Blocks * 512
		return nil
	})
	if err != nil {
		return sample{}, err
	}
	n := float64(l.count + l.warm)
	return sample{Values: map[string]float64{"overhead": float64(used)/n - float64(l.size)}}, nil
}

// exchange has the reader do its task, the writer append where it is about
// that, and takes what both took meanwhile. Without a writer the reader is alone.
func exchange(w, r *process, appends bool) (out sample, done reply, err error) {
	type side struct {
		*process
		*usage
	}
	sides := []side{{r, &out.Reader}}
	if w != nil {
		sides = append(sides, side{w, &out.Writer})
	}
	for _, s := range sides {
		before, err := s.cpu()
		if err != nil {
			return out, done, err
		}
		s.CPU = -before.Seconds()
	}
	if err = r.say(wordGo); err == nil && appends {
		err = w.say(wordAppend)
	}
	if err != nil {
		return out, done, err
	}
	if done, err = r.expect("done"); err != nil && w != nil {
		err = fmt.Errorf("%w\nthe writer said: %s", err, w.said)
	}
	if err != nil {
		return out, done, err
	}
	for _, s := range sides {
		after, err := s.cpu()
		if err != nil {
			return out, done, err
		}
		s.CPU += after.Seconds()
		if s.Peak, err = s.peak(); err != nil {
			return out, done, err
		}
	}
	out.Values = done.Values
	return out, done, nil
}

// derive adds rates to what was measured.
func (s *sample) derive(l load) {
	if sec := s.Values["seconds"]; sec > 0 {
		s.Values["bytes/s"] = float64(l.count) * float64(l.size) / sec / 1e6
		s.Values["blocks/s"] = float64(l.count) / sec
		s.Values["samples/s"] = float64(l.samples) / sec
		s.Values["batched/s"] = float64(l.samples) * batchBlocks / sec
	}
	if sec := s.Values["synced"]; sec > 0 {
		s.Values["synced bytes/s"] = float64(l.count) * float64(l.size) / sec / 1e6
		s.Values["synced blocks/s"] = float64(l.count) / sec
	}
	s.Values["memory"] = float64(s.Writer.Peak+s.Reader.Peak) / 1e6
}
