package hypercore

import (
	"math/rand/v2"
	"testing"
)

// model is a bitfield as a map.
type model map[uint64]bool

func (m model) contiguous() (n uint64) {
	for m[n] {
		n++
	}
	return n
}

// checkBitfield compares a bitfield with its model over [0, end).
func checkBitfield(t testing.TB, b *bitfield, m model, end uint64) {
	t.Helper()
	if b.contiguous != m.contiguous() {
		t.Fatalf("contiguous %d, want %d", b.contiguous, m.contiguous())
	}
	next, more := b.next(0)
	missing := b.nextClear(0)
	for i := range end {
		if !m[i] {
			if missing != i {
				t.Fatalf("next that is clear is %d, want %d", missing, i)
			}
			missing = b.nextClear(i + 1)
		}
		if b.has(i) != m[i] {
			t.Fatalf("bit %d is %v", i, b.has(i))
		}
		if m[i] {
			if !more || next != i {
				t.Fatalf("next is %d, %v, want %d", next, more, i)
			}
			next, more = b.next(i + 1)
		}
	}
	if more {
		t.Fatalf("%d comes after the last", next)
	}
	for _, r := range [][2]uint64{{0, end}, {end / 3, end / 2}, {end / 2, end/2 + 1}, {1, min(end, 66)}} {
		var want uint64
		for i := r[0]; i < r[1]; i++ {
			if m[i] {
				want++
			}
		}
		if n := b.count(r[0], r[1]); n != want {
			t.Fatalf("%d bits in %v, want %d", n, r, want)
		}
	}
	words := make([]uint32, end/32+2)
	b.copyTo(0, words)
	for i := range end {
		if got := words[i/32]>>(i%32)&1 == 1; got != m[i] {
			t.Fatalf("copied bit %d is %v", i, got)
		}
	}
}

func TestBitfieldModel(t *testing.T) {
	const end = 2*pageBits + 100
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var b, stored bitfield
		m := make(model)
		for range 30 {
			// Edges of words and pages, and anything.
			from := rng.Uint64N(end)
			switch rng.IntN(4) {
			case 0:
				from = from / 64 * 64
			case 1:
				from = from / pageBits * pageBits
			case 2:
				from = m.contiguous()
			}
			to := min(end, from+[]uint64{1, 2, 63, 64, 65, pageBits - 1, pageBits, 2 * pageBits}[rng.IntN(8)])
			held := rng.IntN(3) > 0
			if held {
				b.set(from, to)
			} else {
				b.clear(from, to)
			}
			for i := from; i < to; i++ {
				if held {
					m[i] = true
				} else {
					delete(m, i)
				}
			}
			checkBitfield(t, &b, m, end)
			// What is recorded is what a reopened core finds.
			records := b.takeChanged()
			if rng.IntN(4) == 0 {
				b.untake(records) // not committed
				continue
			}
			for n, record := range records {
				delete(stored.pages, n)
				if len(record) > 0 {
					if err := stored.load(n, record); err != nil {
						t.Fatal(err)
					}
				}
			}
			stored.contiguous = b.contiguous
			checkBitfield(t, &stored, m, end)
		}
	}
}

func TestBitfieldOfWholeLogNeedsNoPage(t *testing.T) {
	var b bitfield
	for i := range uint64(3 * pageBits) {
		b.set(i, i+1)
	}
	if len(b.pages) != 0 || len(b.changed) != 0 {
		t.Fatalf("%d pages, %d changed", len(b.pages), len(b.changed))
	}
	b = bitfield{}
	for i := uint64(2 * pageBits); i > 0; i-- { // backwards: the pages come and go
		b.set(i-1, i)
	}
	if b.contiguous != 2*pageBits || len(b.pages) != 0 {
		t.Fatalf("contiguous %d, %d pages", b.contiguous, len(b.pages))
	}
	for n, record := range b.takeChanged() {
		if len(record) != 0 {
			t.Fatalf("page %d still has a record", n)
		}
	}
}

func TestBitfieldRefusesBadPages(t *testing.T) {
	var b bitfield
	for name, record := range map[string][]byte{"empty": {}, "long": make([]byte, pageBytes+1), "trailing zero": {1, 0}} {
		if b.load(0, record) == nil {
			t.Errorf("%s page was taken", name)
		}
	}
	if b.load(1<<60, []byte{1}) == nil {
		t.Error("page out of range was taken")
	}
}
