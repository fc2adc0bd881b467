package hypercore

import (
	"fmt"
	"testing"
)

// aheads is a Source that notes what it is asked for.
type aheads struct {
	Source
	asked, dropped []string
}

func (a *aheads) Ahead(from, to uint64) func() {
	a.asked = append(a.asked, fmt.Sprint(from, "-", to))
	return func() { a.dropped = append(a.dropped, fmt.Sprint(from, "-", to)) }
}

func (a *aheads) want(t *testing.T, asked, dropped string) {
	t.Helper()
	if fmt.Sprint(a.asked) != asked || fmt.Sprint(a.dropped) != dropped {
		t.Errorf("asked for %v and dropped %v, want %s and %s", a.asked, a.dropped, asked, dropped)
	}
}

// What is asked for ahead grows while a reader goes on, up to a bound, and is
// dropped when it goes elsewhere.
func TestAheadGrowsAndIsDropped(t *testing.T) {
	info := Info{Length: 1000, ByteLength: 1000 * 64 << 10}
	s := &aheads{}
	var a ahead
	a.follow(s, info, 10, 10)
	s.want(t, "[]", "[]")
	a.follow(s, info, 11, 11)
	s.want(t, "[12-14]", "[]")
	a.follow(s, info, 11, 11) // the rest of it
	a.follow(s, info, 12, 12)
	s.want(t, "[12-14 14-17]", "[]")
	for i := uint64(13); i < 100; i++ {
		a.follow(s, info, i, i)
		if ahead := a.readers[0].asked - i; ahead > aheadMost>>16+1 {
			t.Fatalf("%d blocks of 64 KiB ahead of block %d", ahead, i)
		}
	}
	if ahead := a.readers[0].asked - 100; ahead < aheadMost>>16/2-1 {
		t.Errorf("%d blocks ahead after 90", ahead)
	}
	if len(s.dropped) != 0 {
		t.Errorf("dropped %v of a reader that goes on", s.dropped)
	}
	under := len(a.readers[0].drop)
	a.follow(s, info, 500, 500) // another reader, or a seek
	if len(s.dropped) != 0 {
		t.Error("one read elsewhere ends a reader that went on")
	}
	a.follow(s, info, 300, 300)
	if len(s.dropped) != under || under == 0 {
		t.Errorf("dropped %v, want the %d that were under way", s.dropped, under)
	}
	if len(a.readers) != 2 {
		t.Errorf("%d readers are followed", len(a.readers))
	}
}

// Several readers are told apart, and the end of the log is the end.
func TestAheadOfSeveralReaders(t *testing.T) {
	info := Info{Length: 1000, ByteLength: 1000 * 64 << 10}
	s := &aheads{}
	var a ahead
	for i := range uint64(20) {
		for _, from := range []uint64{0, 300, 980} {
			a.follow(s, info, from+i, from+i)
		}
	}
	if len(a.readers) != 3 || len(s.dropped) != 0 {
		t.Errorf("%d readers, dropped %v", len(a.readers), s.dropped)
	}
	for _, q := range a.readers {
		if q.asked > info.Length || q.asked < q.next {
			t.Errorf("asked up to %d of %d", q.asked, info.Length)
		}
	}
	for i := range uint64(10) { // random reads ask for nothing ahead, and end the others
		a.follow(s, info, 50*i+7, 50*i+7)
	}
	if len(a.readers) > aheadReaders {
		t.Errorf("%d readers", len(a.readers))
	}
}
