package control

import "testing"

func TestWaits(t *testing.T) {
	missing := func(stalled bool, sources int, blocks uint64, ranges ...Span) *Missing {
		return &Missing{Blocks: blocks, Ranges: ranges, Sources: sources, Stalled: stalled}
	}
	for _, tt := range []struct {
		core    Core
		want    string
		stalled bool
	}{
		{Core{Learned: true, Peers: 1, Missing: &Missing{Blocks: 1, Ranges: []Span{{5, 5}}, Sources: 1, Stalled: true, NotStored: "no space left on device"}},
			"stalled, missing 5, 1 peer; not stored: no space left on device", true},
		{Core{Learned: true}, "", false},
		{Core{}, "nothing is known of it yet, 0 peers", true},
		{Core{Peers: 1}, "nothing is known of it yet, 1 peer", false},
		{Core{Learned: true, Missing: missing(true, 0, 188, Span{812, 999})}, "stalled, missing 812–999, 0 peers", true},
		{Core{Learned: true, Peers: 2, Missing: missing(true, 0, 1, Span{7, 7})}, "stalled, missing 7, 2 peers without them", true},
		{Core{Learned: true, Peers: 2, Missing: missing(false, 1, 4, Span{7, 7}, Span{9, 11})}, "missing 7, 9–11, 2 peers", false},
		{Core{Learned: true, Peers: 1, Missing: missing(false, 1, 10, Span{1, 1}, Span{3, 3}, Span{5, 5}, Span{7, 7})}, "missing 1, 3, 5 and 7 more blocks, 1 peer", false},
		{Core{Learned: true, Peers: 1, Missing: missing(true, 1, 4, Span{1, 1}, Span{3, 3}, Span{5, 5}, Span{7, 7})}, "stalled, missing 1, 3, 5 and 1 more block, 1 peer", true},
	} {
		if got := tt.core.Waits(); got != tt.want || tt.core.Stalled() != tt.stalled {
			t.Errorf("%+v: %q, %v; want %q, %v", tt.core, got, tt.core.Stalled(), tt.want, tt.stalled)
		}
	}
	f := Followed{Cores: []Core{
		{Path: "KEY/main", Learned: true, Length: 1, HeldBlocks: 1},
		{Path: "KEY/core-3", Learned: true, Length: 1000, HeldBlocks: 812, Missing: missing(true, 0, 188, Span{812, 999})},
	}}
	if held, length, missing := f.Blocks(); held != 813 || length != 1001 || missing != 188 {
		t.Errorf("%d of %d blocks, %d missing", held, length, missing)
	}
	if got, want := f.Progress(), "813 of 1001 blocks; core-3: stalled, missing 812–999, 0 peers"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
