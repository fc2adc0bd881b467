package multicore

import (
	"fmt"

	"multicore/hypercore"
)

// ShortMessage is the length in bytes, newline included, from which a message
// goes to core-3; shorter ones go to core-2.
const ShortMessage = 5

// The places of the own cores in Own.cores.
const (
	placeMain = iota
	placeShort
	placeLong
	ownCores
)

// route gives the place of the core that takes a message.
func route(message []byte) int {
	if len(message) < ShortMessage {
		return placeShort
	}
	return placeLong
}

// place gives the place of the core of that name; core-1 is main.
func place(core string) (int, error) {
	if core == "core-1" {
		return placeMain, nil
	}
	for i := range ownCores {
		if core == CoreName(i) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%w: %q, want main, core-2 or core-3", ErrNoCore, core)
}

// batches sorts messages by the core that takes them, keeping their order
// within each. core, if not "", takes them all.
func (o *Own) batches(core string, messages [][]byte) ([]hypercore.Batch, error) {
	if core != "" {
		p, err := place(core)
		if err != nil {
			return nil, err
		}
		return []hypercore.Batch{{Core: o.cores[p].Core, Blocks: messages}}, nil
	}
	var sorted [ownCores][][]byte
	for _, m := range messages {
		p := route(m)
		sorted[p] = append(sorted[p], m)
	}
	var out []hypercore.Batch
	for p, blocks := range sorted {
		if len(blocks) > 0 {
			out = append(out, hypercore.Batch{Core: o.cores[p].Core, Blocks: blocks})
		}
	}
	return out, nil
}
