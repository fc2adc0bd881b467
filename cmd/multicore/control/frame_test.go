package control

import (
	"bytes"
	"io"
	"reflect"
	"testing"
)

// Whatever is read as items reads the same once it was written again, and
// nothing makes the reader panic or take more than a frame may hold.
func FuzzReadItem(f *testing.F) {
	seed := func(items ...Item) {
		var buf []byte
		for _, it := range items {
			buf, _ = appendItem(buf, it)
		}
		end, _ := appendFrame(buf, frameEnd, nil, nil)
		f.Add(end)
		failed, _ := appendFrame(buf, frameError, wireError{Code: Timeout, Text: "late"}, nil)
		f.Add(failed)
		gone, _ := appendFrame(buf, frameGone, nil, nil)
		f.Add(gone)
		f.Add(buf)
	}
	seed()
	seed(Item{Core: "core-3", Key: "k", Index: 4}, Item{Core: "core-3", Key: "k", Index: 4, Block: []byte("hello\n")})
	seed(Item{Note: "old"}, Item{Block: []byte{}})
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bytes.NewReader(stream)
		for {
			it, err := readItem(r)
			if err != nil {
				return
			}
			again, err := appendItem(nil, it)
			if err != nil {
				t.Fatalf("%+v does not encode: %v", it, err)
			}
			back, err := readItem(bytes.NewReader(again))
			if err != nil || !reflect.DeepEqual(back, it) {
				t.Fatalf("%+v came back as %+v, %v", it, back, err)
			}
		}
	})
}

func TestFrameBounds(t *testing.T) {
	if _, err := appendItem(nil, Item{Block: make([]byte, maxFrameBlock)}); err != nil {
		t.Error(err)
	}
	if _, err := appendItem(nil, Item{Block: make([]byte, maxFrameBlock+1)}); err == nil {
		t.Error("a block that no reader takes was encoded")
	}
	if _, err := appendItem(nil, Item{Note: string(make([]byte, maxFrameHeader))}); err == nil {
		t.Error("a header that no reader takes was encoded")
	}
	end, err := appendFrame(nil, frameEnd, nil, nil)
	if err != nil || len(end) != frameHead {
		t.Errorf("%d bytes, %v", len(end), err)
	}
	if _, err := readItem(bytes.NewReader(end)); err != io.EOF {
		t.Errorf("the end of a complete stream is %v", err)
	}
}
