package hypercore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"multicore/hypercore/merkle"
)

const (
	pageBits  = 32768 // bits of a page
	pageWords = pageBits / 64
	pageBytes = pageBits / 8
)

// page is a stretch of pageBits bits; bit j of word w is block 64*w + j of it.
type page [pageWords]uint64

// bitfield says which blocks are held: all below contiguous, and those with a
// bit in a page. A log that is held whole needs no page, a sparse one has pages
// only where it holds something. It is for one goroutine at a time.
type bitfield struct {
	contiguous uint64 // the first block that is not held
	pages      map[uint64]*page
	changed    map[uint64]bool // pages that differ from their record, gone ones too
}

func (b *bitfield) has(i uint64) bool {
	if i < b.contiguous {
		return true
	}
	p := b.pages[i/pageBits]
	return p != nil && p[i%pageBits/64]&(1<<(i%64)) != 0
}

// set marks the blocks [from, to) as held.
func (b *bitfield) set(from, to uint64) {
	if from <= b.contiguous {
		if to > b.contiguous {
			b.advance(to)
		}
		return
	}
	b.fill(from, to, true)
}

// clear marks the blocks [from, to) as not held.
func (b *bitfield) clear(from, to uint64) {
	if from < b.contiguous {
		end := b.contiguous
		b.contiguous = from
		if to < end {
			b.fill(to, end, true)
		}
	}
	// Pages that do not exist are clear already, so this goes by pages.
	for n := range b.pages {
		if lo, hi := max(from, n*pageBits), min(to, (n+1)*pageBits); lo < hi {
			b.fill(lo, hi, false)
		}
	}
}

// advance moves contiguous to at least `to` and over the bits that follow.
func (b *bitfield) advance(to uint64) {
	if len(b.pages) == 0 {
		b.contiguous = to
		return
	}
	first := b.contiguous / pageBits
	b.contiguous = to
	for {
		p := b.pages[b.contiguous/pageBits]
		if p == nil {
			break
		}
		at := b.contiguous % pageBits
		n := uint64(bits.TrailingZeros64(^(p[at/64] >> (at % 64))))
		n = min(n, 64-at%64)
		b.contiguous += n
		if n < 64-at%64 {
			break
		}
	}
	// Pages wholly below are told by contiguous alone.
	if last := b.contiguous / pageBits; last-first > uint64(len(b.pages)) {
		for n := range b.pages {
			if n < last {
				b.drop(n)
			}
		}
	} else {
		for n := first; n < last; n++ {
			b.drop(n)
		}
	}
}

func (b *bitfield) drop(n uint64) {
	if b.pages[n] == nil {
		return
	}
	delete(b.pages, n)
	b.touch(n)
}

func (b *bitfield) touch(n uint64) {
	if b.changed == nil {
		b.changed = make(map[uint64]bool)
	}
	b.changed[n] = true
}

// fill sets or clears bits of pages; pages are made only to set bits.
func (b *bitfield) fill(from, to uint64, held bool) {
	for from < to {
		n := from / pageBits
		end := min(to, (n+1)*pageBits)
		p := b.pages[n]
		if p == nil {
			if !held {
				from = end
				continue
			}
			if b.pages == nil {
				b.pages = make(map[uint64]*page)
			}
			p = new(page)
			b.pages[n] = p
		}
		b.touch(n)
		for from < end {
			count := min(64-from%64, end-from)
			mask := (^uint64(0) >> (64 - count)) << (from % 64)
			if held {
				p[from%pageBits/64] |= mask
			} else {
				p[from%pageBits/64] &^= mask
			}
			from += count
		}
	}
}

// copyTo copies the bits from start on into words, bit j of words[w] being
// block start+32*w+j. start is a multiple of 32.
func (b *bitfield) copyTo(start uint64, words []uint32) {
	for w := range words {
		at := start + 32*uint64(w)
		var word uint32
		if p := b.pages[at/pageBits]; p != nil {
			word = uint32(p[at%pageBits/64] >> (at % 64))
		}
		if at < b.contiguous {
			if b.contiguous-at >= 32 {
				word = ^uint32(0)
			} else {
				word |= 1<<(b.contiguous-at) - 1
			}
		}
		words[w] = word
	}
}

// next is the first block held from that one on. It looks at pages, so that gaps
// cost nothing.
func (b *bitfield) next(from uint64) (uint64, bool) {
	if from < b.contiguous {
		return from, true
	}
	for {
		n := from / pageBits
		if p := b.pages[n]; p != nil {
			mask := ^uint64(0) << (from % 64)
			for w := from % pageBits / 64; w < pageWords; w++ {
				if word := p[w] & mask; word != 0 {
					return n*pageBits + w*64 + uint64(bits.TrailingZeros64(word)), true
				}
				mask = ^uint64(0)
			}
		}
		found := false
		for later := range b.pages {
			if later > n && (!found || later*pageBits < from) {
				found, from = true, later*pageBits
			}
		}
		if !found {
			return 0, false
		}
	}
}

// nextClear is the first block not held from that one on.
func (b *bitfield) nextClear(from uint64) uint64 {
	from = max(from, b.contiguous)
	for {
		p := b.pages[from/pageBits]
		if p == nil {
			return from
		}
		if clear := ^p[from%pageBits/64] >> (from % 64); clear != 0 {
			return from + uint64(bits.TrailingZeros64(clear))
		}
		from = from&^63 + 64
	}
}

// runs gives the held blocks of [from, to) as stretches, in order.
func (b *bitfield) runs(from, to uint64) (list []blockRun) {
	for at := from; at < to; {
		next, ok := b.next(at)
		if !ok || next >= to {
			break
		}
		end := next + 1
		if next < b.contiguous {
			end = min(to, b.contiguous)
		}
		for end < to && b.has(end) {
			end++
		}
		list = append(list, blockRun{next, end})
		at = end
	}
	return list
}

// clone is a copy that shares nothing.
func (b *bitfield) clone() bitfield {
	pages := make(map[uint64]*page, len(b.pages))
	for n, p := range b.pages {
		copied := *p
		pages[n] = &copied
	}
	return bitfield{contiguous: b.contiguous, pages: pages, changed: maps.Clone(b.changed)}
}

// takeChanged gives the records of the pages that changed since the last call,
// nil for one that is to be removed.
func (b *bitfield) takeChanged() map[uint64][]byte {
	if len(b.changed) == 0 {
		return nil
	}
	records := make(map[uint64][]byte, len(b.changed))
	for n := range b.changed {
		records[n] = b.pages[n].appendRecord(nil)
	}
	clear(b.changed)
	return records
}

// untake marks pages whose records were not committed.
func (b *bitfield) untake(records map[uint64][]byte) {
	for n := range maps.Keys(records) {
		b.touch(n)
	}
}

// appendRecord appends the stored form of a page: its words, little-endian,
// without trailing zero bytes; nothing for an empty page.
func (p *page) appendRecord(buf []byte) []byte {
	if p == nil {
		return buf
	}
	buf = slices.Grow(buf, pageBytes)
	for _, w := range p {
		buf = binary.LittleEndian.AppendUint64(buf, w)
	}
	return bytes.TrimRight(buf, "\x00")
}

// load adds a stored page.
func (b *bitfield) load(n uint64, record []byte) error {
	if len(record) > pageBytes || len(record) == 0 || record[len(record)-1] == 0 {
		return fmt.Errorf("bitfield page %d has %d bytes that make no page", n, len(record))
	}
	if n > merkle.MaxLength/pageBits {
		return fmt.Errorf("bitfield page %d is out of range", n)
	}
	var whole [pageBytes]byte
	copy(whole[:], record)
	p := new(page)
	for w := range p {
		p[w] = binary.LittleEndian.Uint64(whole[8*w:])
	}
	if b.pages == nil {
		b.pages = make(map[uint64]*page)
	}
	b.pages[n] = p
	return nil
}

// count gives how many of the blocks [from, to) are held. It takes time for the
// pages that there are, however long the log.
func (b *bitfield) count(from, to uint64) (held uint64) {
	if from < b.contiguous {
		held = min(to, b.contiguous) - from
		from = b.contiguous
	}
	for n, p := range b.pages {
		lo, hi := max(from, n*pageBits), min(to, (n+1)*pageBits)
		for lo < hi {
			end := min(hi, lo&^63+64)
			word := p[lo%pageBits/64] >> (lo % 64) << (64 - (end - lo)) // the bits of [lo, end) alone
			held += uint64(bits.OnesCount64(word))
			lo = end
		}
	}
	return held
}
