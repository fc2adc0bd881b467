package main

import "fmt"

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
	warm        int  // blocks to warm up with
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
}

// kind is one kind of work.
type kind struct {
	name        string
	ways        []string
	full, quick load
	task        string
	measure     func(b *bench, k *kind, way string, l load) (sample, error)
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
)

// cases are those of the budgets, in their order.
var cases = []*kind{
	{
		name: "blocks-64k", ways: everyWay, task: taskDownload, measure: (*bench).network,
		full:  load{count: 16384, size: 64 << 10, warm: 512},
		quick: load{count: 128, size: 64 << 10, warm: 8},
		rows: func(l load) []row {
			return []row{{fmt.Sprintf("replicate %s of 64 KiB blocks", bytesText(l.count*l.size)), "bytes/s", "MB/s", true, []bar{{js, 4}, {ceiling, 0.5}}}}
		},
	},
	{
		name: "blocks-1k", ways: everyWay, task: taskDownload, measure: (*bench).network,
		full:  load{count: 200_000, size: 1 << 10, warm: 5000},
		quick: load{count: 2000, size: 1 << 10, warm: 100},
		rows: func(l load) []row {
			return []row{{fmt.Sprintf("replicate %s blocks of 1 KiB", grouped(l.count)), "blocks/s", "blocks/s", true, []bar{{js, 20}}}}
		},
	},
	{
		name: "demand", ways: everyWay, task: taskDemand, measure: (*bench).network,
		full:  load{count: 200_000, size: 1 << 10, warm: 5000, samples: 3000, inflight: 1},
		quick: load{count: 2000, size: 1 << 10, warm: 100, samples: 100, inflight: 1},
		rows: func(load) []row {
			return []row{{"a missing block on demand, one at a time, p50", "p50", "ms", false, []bar{{js, 1.0 / 5}}}}
		},
	},
	{
		name: "demand-64", ways: everyWay, task: taskDemand, measure: (*bench).network,
		full:  load{count: 200_000, size: 1 << 10, warm: 5000, samples: 20_000, inflight: 64},
		quick: load{count: 2000, size: 1 << 10, warm: 100, samples: 640, inflight: 64},
		rows: func(load) []row {
			return []row{{"missing blocks on demand, 64 at once", "samples/s", "blocks/s", true, []bar{{js, 10}}}}
		},
	},
	{
		name: "visible", ways: everyWay, task: taskVisible, measure: (*bench).network,
		full:  load{count: 1000, size: 64, warm: 100, samples: 500, grows: true},
		quick: load{count: 100, size: 64, warm: 20, samples: 50, grows: true},
		rows: func(load) []row {
			return []row{{"append to visible at a reader, p50, durable first (the peer: not durable)", "p50", "ms", false, []bar{{js, 1.0 / 2}}}}
		},
	},
	{
		name: "cores", ways: noBare, task: taskMany, measure: (*bench).network,
		full:  load{count: 1, size: 64, cores: 10_000, warm: 1},
		quick: load{count: 1, size: 64, cores: 100, warm: 1},
		rows: func(l load) []row {
			return []row{
				{fmt.Sprintf("%s open cores replicated", grouped(l.cores)), "seconds", "s", false, []bar{{js, 1.0 / 3}}},
				{"… peak memory of both sides", "memory", "MB", false, []bar{{js, 1.0 / 4}}},
			}
		},
	},
	{
		name: "swarm", ways: []string{ours, ceiling}, measure: (*bench).swarm,
		full:  load{count: 1600, size: 64 << 10, cores: 8},
		quick: load{count: 32, size: 64 << 10, cores: 8},
		rows: func(l load) []row {
			what := fmt.Sprintf("1 writer at 10 MB/s, %d readers of %s: ", l.cores, bytesText(l.count*l.size))
			return []row{
				{what + "the last one done (ceiling: one copy)", "seconds", "s", false, []bar{{ceiling, 3}}},
				{"… sent by the writer", "copies", "copies", false, []bar{{"", 2}}},
			}
		},
	},
}
