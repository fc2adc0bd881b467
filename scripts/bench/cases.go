package main

import (
	"fmt"
	"slices"
)

// The ways to do a case, in the order of the table's columns.
const (
	ours       = "ours"
	oursTCP    = "ours-tcp"
	js         = "peer"
	ceiling    = "ceiling"
	ceilingTCP = "ceiling-tcp"
)

// load is the size of a case.
type load struct {
	count, size int // blocks of a core
	cores       int // how many, or how many readers of one
	samples     int
	inflight    int
	warm        int  // blocks to warm up with, in a core of their own
	warmSamples int  // in a case of one process
	grows       bool // the writer appends: its store is for this case alone
}

// bar is what ours has to reach: factor times the figure of another way, or
// the factor itself.
type bar struct {
	of     string // js, ceiling, or "" for the factor itself
	factor float64
}

// row is a line of the table.
type row struct {
	title  string
	value  string // of a sample
	unit   string
	higher bool // the better
	bars   []bar
	only   []string // the ways that have it; nil: all of the case
}

// in says whether the row has a cell for a way of its case.
func (r row) in(way string) bool { return r.only == nil || slices.Contains(r.only, way) }

// kind is one kind of work.
type kind struct {
	name        string
	ways        []string
	full, quick load
	task        string
	measure     func(b *bench, k *kind, way string, l load) (sample, error)
	missing     func() error // why it cannot be measured here; nil: it always can
	rows        func(l load) []row
}

func (k *kind) load(quick bool) load {
	if quick {
		return k.quick
	}
	return k.full
}

var (
	everyWay = []string{ours, oursTCP, js, ceiling, ceilingTCP}
	noBare   = []string{ours, oursTCP, js}
	oneSide  = []string{ours, js, ceiling}
	twoSides = []string{ours, js}

	oursAlone = []string{ours, oursTCP}
)

const synced = "… until it is synced too, which the peer never does"

// cases are those of the budgets, in their order.
var cases = append(withoutMount, mountCases...)

var withoutMount = []*kind{
	{
		name: "blocks-64k", ways: everyWay, task: taskDownload, measure: (*bench).network,
		full:  load{count: 16384, size: 64 << 10, warm: 512},
		quick: load{count: 128, size: 64 << 10, warm: 8},
		rows: func(l load) []row {
			return []row{
				{fmt.Sprintf("replicate %s of 64 KiB blocks", bytesText(l.count*l.size)), "bytes/s", "MB/s", true, []bar{{js, 4}, {ceiling, 0.5}}, nil},
				{synced, "synced bytes/s", "MB/s", true, nil, oursAlone},
			}
		},
	},
	{
		name: "blocks-1k", ways: everyWay, task: taskDownload, measure: (*bench).network,
		full:  load{count: 200_000, size: 1 << 10, warm: 5000},
		quick: load{count: 2000, size: 1 << 10, warm: 100},
		rows: func(l load) []row {
			return []row{
				{fmt.Sprintf("replicate %s blocks of 1 KiB", grouped(l.count)), "blocks/s", "blocks/s", true, []bar{{js, 20}}, nil},
				{synced, "synced blocks/s", "blocks/s", true, nil, oursAlone},
			}
		},
	},
	{
		name: "demand", ways: everyWay, task: taskDemand, measure: (*bench).network,
		full:  load{count: 200_000, size: 1 << 10, warm: 5000, samples: 3000, inflight: 1},
		quick: load{count: 2000, size: 1 << 10, warm: 100, samples: 100, inflight: 1},
		rows: func(load) []row {
			return []row{{"a missing block on demand, one at a time, p50", "p50", "ms", false, []bar{{js, 1.0 / 5}}, nil}}
		},
	},
	{
		name: "demand-64", ways: everyWay, task: taskDemand, measure: (*bench).network,
		full:  load{count: 200_000, size: 1 << 10, warm: 5000, samples: 20_000, inflight: 64},
		quick: load{count: 2000, size: 1 << 10, warm: 100, samples: 640, inflight: 64},
		rows: func(load) []row {
			return []row{{"missing blocks on demand, 64 at once", "samples/s", "blocks/s", true, []bar{{js, 10}}, nil}}
		},
	},
	{
		name: "visible", ways: everyWay, task: taskVisible, measure: (*bench).network,
		full:  load{count: 1000, size: 64, warm: 100, samples: 500, grows: true},
		quick: load{count: 100, size: 64, warm: 20, samples: 50, grows: true},
		rows: func(load) []row {
			return []row{{"append to visible at a reader, p50, durable first (the peer: not durable)", "p50", "ms", false, []bar{{js, 1.0 / 2}}, nil}}
		},
	},
	{
		name: "cores", ways: noBare, task: taskMany, measure: (*bench).network,
		full:  load{count: 1, size: 64, cores: 10_000, warm: 1},
		quick: load{count: 1, size: 64, cores: 100, warm: 1},
		rows: func(l load) []row {
			return []row{
				{fmt.Sprintf("%s open cores replicated", grouped(l.cores)), "seconds", "s", false, []bar{{js, 1.0 / 3}}, nil},
				{"… peak memory of both sides", "memory", "MB", false, []bar{{js, 1.0 / 4}}, nil},
			}
		},
	},
	{
		name: "open", ways: twoSides, task: taskOpen, measure: (*bench).alone,
		full:  load{count: 1_000_000, size: 64},
		quick: load{count: 5000, size: 64},
		rows: func(l load) []row {
			return []row{
				{fmt.Sprintf("open a core of %s blocks, first get", grouped(l.count)), "open", "ms", false, []bar{{js, 1.0 / 10}}, nil},
				{"… the store too", "open store", "ms", false, nil, nil},
			}
		},
	},
	appending("append-64", 64, 30),
	appending("append-1k", 1<<10, 25),
	{
		name: "batches", ways: oneSide, task: taskBatch, measure: (*bench).alone,
		full:  load{size: 1 << 10, samples: 300, warmSamples: 30},
		quick: load{size: 1 << 10, samples: 4, warmSamples: 1},
		rows: func(load) []row {
			return []row{{"append batches of 1,024 × 1 KiB", "batched/s", "blocks/s", true, []bar{{js, 3}, {ceiling, 0.5}}, nil}}
		},
	},
	getting(taskSequential),
	getting(taskRandom),
	{
		name: "disk", ways: twoSides, measure: (*bench).disk,
		full:  load{count: 200_000, size: 1 << 10, warm: 5000},
		quick: load{count: 2000, size: 1 << 10, warm: 100},
		rows: func(load) []row {
			return []row{{"disk beyond the payload, a block of 1 KiB", "overhead", "B", false, []bar{{"", 100}}, nil}}
		},
	},
	{
		name: "swarm", ways: []string{ours, ceiling}, measure: (*bench).swarm,
		full:  load{count: 1600, size: 64 << 10, cores: 8},
		quick: load{count: 32, size: 64 << 10, cores: 8},
		rows: func(l load) []row {
			what := fmt.Sprintf("1 writer at 10 MB/s, %d readers of %s: ", l.cores, bytesText(l.count*l.size))
			return []row{
				{what + "the last one done (ceiling: one copy)", "seconds", "s", false, []bar{{ceiling, 3}}, nil},
				{"… sent by the writer", "copies", "copies", false, []bar{{"", 2}}, nil},
			}
		},
	},
}

// mountCases are those of a mount.
var mountCases = []*kind{
	mounting("mount-append", taskHeld, "append through the mount, 64 B lines, file held open", 0.6),
	mounting("mount-echo", taskEcho, "append through the mount, 64 B lines, open-write-close", 0.8),
	{
		name: "mount-cat", ways: mountWays, measure: (*bench).mountCat, missing: fuseMissing,
		full: mountLog, quick: mountLogQuick,
		rows: func(l load) []row {
			return []row{{fmt.Sprintf("cat log, own, %s (ceiling: a plain file)", bytesText(l.count*l.size)), "bytes/s", "MB/s", true, []bar{{ceiling, 0.8}}, nil}}
		},
	},
	{
		name: "mount-copy", ways: mountWays, measure: (*bench).mountCopy, missing: fuseMissing,
		full: mountLog, quick: mountLogQuick,
		rows: func(l load) []row {
			return []row{{fmt.Sprintf("cat log, a copy, %s (ceiling: FUSE with splice)", bytesText(l.count*l.size)), "bytes/s", "MB/s", true, []bar{{ceiling, 0.8}}, nil}}
		},
	},
	{
		name: "mount-remote", ways: mountWays, measure: (*bench).mountRemote, missing: fuseMissing,
		full: mountLog, quick: mountLogQuick,
		rows: func(l load) []row {
			return []row{
				{fmt.Sprintf("cat log, remote, %s (ceiling: follow, without a mount)", bytesText(l.count*l.size)), "bytes/s", "MB/s", true, []bar{{ceiling, 0.8}}, nil},
				{"… until its first bytes", "first", "ms", false, []bar{{"", 100}}, []string{ours}},
			}
		},
	},
	{
		name: "mount-follow", ways: []string{ours}, measure: (*bench).mountFollow, missing: fuseMissing,
		full:  load{size: 64, samples: 300, warmSamples: 30},
		quick: load{size: 64, samples: 20, warmSamples: 2},
		rows: func(load) []row {
			return []row{
				{"a line to who reads follow elsewhere, p50 after the flush", "remote", "ms", false, []bar{{"", 1}}, nil},
				{"… to who reads follow in the same mount, p50 after the write began", "own", "ms", false, nil, nil},
			}
		},
	},
}

var (
	mountWays     = []string{ours, ceiling}
	mountLog      = load{count: 16384, size: 64 << 10, samples: 5}
	mountLogQuick = load{count: 128, size: 64 << 10, samples: 1}
)

// Tasks of the appends through a mount.
const (
	taskHeld = "held" // to a file that is open
	taskEcho = "echo" // to one that is opened for each
)

// mounting is a case of lines that are written to an append file.
func mounting(name, task, title string, times float64) *kind {
	return &kind{
		name: name, ways: mountWays, task: task, measure: (*bench).mountAppend, missing: fuseMissing,
		full:  load{size: 64, samples: 50_000, warmSamples: 5000},
		quick: load{size: 64, samples: 300, warmSamples: 30},
		rows: func(load) []row {
			return []row{{title + " (ceiling: a FUSE server that drops them)", "samples/s", "lines/s", true, []bar{{ceiling, times}}, nil}}
		},
	}
}

// appending is a case of appends one by one.
func appending(name string, size int, times float64) *kind {
	return &kind{
		name: name, ways: oneSide, task: taskAppend, measure: (*bench).alone,
		full:  load{size: size, samples: 20_000, warmSamples: 2000},
		quick: load{size: size, samples: 300, warmSamples: 30},
		rows: func(load) []row {
			return []row{{"append one by one, " + bytesText(size), "samples/s", "blocks/s", true, []bar{{js, times}, {ceiling, 0.5}}, nil}}
		},
	}
}

// getting is a case of reads of what is here.
func getting(task string) *kind {
	return &kind{
		name: "get-" + task, ways: twoSides, task: task, measure: (*bench).alone,
		full:  load{count: 200_000, size: 1 << 10, warm: 5000, samples: 50_000, warmSamples: 2000},
		quick: load{count: 2000, size: 1 << 10, warm: 100, samples: 1000, warmSamples: 100},
		rows: func(load) []row {
			return []row{{"get, local, " + task + ", 1 KiB", "samples/s", "blocks/s", true, []bar{{js, 20}}, nil}}
		},
	}
}
