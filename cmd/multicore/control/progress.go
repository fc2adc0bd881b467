package control

import (
	"fmt"
	"path"
	"strings"
)

// shownRanges is how many stretches of missing blocks a line for people names.
const shownRanges = 3

// Blocks counts the blocks of all cores that are here, those that there are, and
// those that are still to be downloaded.
func (f *Followed) Blocks() (held, length, missing uint64) {
	for _, c := range f.Cores {
		held += c.HeldBlocks
		length += c.Length
		if c.Missing != nil {
			missing += c.Missing.Blocks
		}
	}
	return held, length, missing
}

// Progress says in a line how far the copy is, and what keeps it from going on.
func (f *Followed) Progress() string {
	held, length, _ := f.Blocks()
	text := fmt.Sprintf("%d of %d blocks", held, length)
	for _, c := range f.Cores {
		if c.Stalled() {
			text += fmt.Sprintf("; %s: %s", path.Base(c.Path), c.Waits())
		}
	}
	return text
}

// Stalled says whether something of the core is to be downloaded and does not come.
func (c *Core) Stalled() bool {
	return c.Missing != nil && c.Missing.Stalled || !c.Learned && c.Peers == 0
}

// Waits says what a download of the core waits for, such as `stalled, missing
// 812–999, 0 peers`; "" where for nothing.
func (c *Core) Waits() string {
	m := c.Missing
	if !c.Learned {
		return "nothing is known of it yet, " + Count(c.Peers, "peer")
	}
	if m == nil {
		return ""
	}
	text := "missing "
	if m.Stalled {
		text = "stalled, missing "
	}
	text += m.ranges() + ", " + Count(c.Peers, "peer")
	switch {
	case m.NotStored != "":
		text += "; not stored: " + m.NotStored
	case c.Peers > 0 && m.Sources == 0:
		text += " without them"
	}
	return text
}

func (m *Missing) ranges() string {
	var list []string
	left := m.Blocks
	for _, r := range m.Ranges[:min(len(m.Ranges), shownRanges)] {
		left -= r.Last - r.First + 1
		if r.First == r.Last {
			list = append(list, fmt.Sprint(r.First))
			continue
		}
		list = append(list, fmt.Sprintf("%d–%d", r.First, r.Last))
	}
	text := strings.Join(list, ", ")
	if left > 0 {
		text += " and " + Count(int(left), "more block")
	}
	return text
}

// Count is n of something that has a plain plural.
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
