package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"multicore/hypercore/merkle"
)

// heard is a message as EachMessage gives it.
type heard struct {
	channel, typ uint64
	payload      string
}

func hear(t *testing.T, frame []byte) []heard {
	t.Helper()
	var out []heard
	err := EachMessage(frame, func(channel, typ uint64, payload []byte) error {
		out = append(out, heard{channel, typ, string(payload)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func said(channel uint64, m Message) heard {
	return heard{channel, m.Type(), string(m.Append(nil))}
}

// collect is a Batch that keeps its frames without their length.
func collect(t *testing.T) (*Batch, *[][]byte) {
	var frames [][]byte
	return NewBatch(func(frame []byte) error {
		if n := FrameLength(frame); n != len(frame)-FrameHeader || n > MaxPlaintext {
			t.Errorf("frame of %d bytes says %d", len(frame)-FrameHeader, n)
		}
		frames = append(frames, bytes.Clone(frame[FrameHeader:]))
		return nil
	}), &frames
}

func testOpen(channel uint64, id, capability byte) Open {
	return Open{
		Channel:   channel,
		Protocol:  Protocol,
		ID:        bytes.Repeat([]byte{id}, 32),
		Handshake: Handshake{Seeks: true, Capability: [32]byte(bytes.Repeat([]byte{capability}, 32))}.Append(nil),
	}
}

func TestMuxFrames(t *testing.T) {
	var v struct {
		MuxFrames []struct {
			What   string
			Frames []hexBytes
		}
	}
	readVectors(t, &v)
	type to struct {
		channel uint64
		m       Message
	}
	want := map[string][]to{
		"open channel 1":                       {{0, testOpen(1, 0xd1, 0xca)}},
		"open channel 2":                       {{0, testOpen(2, 0xd2, 0xcb)}},
		"range on channel 1":                   {{1, Range{Length: 5}}},
		"batch: sync+range on 1, range on 2":   {{1, Sync{Length: 5, CanUpgrade: true, Uploading: true, Downloading: true, HasManifest: true}}, {1, Range{Length: 5}}, {2, Range{Length: 9}}},
		"batch: open channel 3 (control) then": {{0, testOpen(3, 0xd3, 0xcc)}, {2, Range{Start: 1, Length: 1}}},
		"close channel 2":                      {{0, Close{Channel: 2}}},
		"reject of a remote open":              {{0, Reject{Channel: 1}}},
	}
	for _, c := range v.MuxFrames {
		t.Run(c.What, func(t *testing.T) {
			var messages []to
			for name, m := range want {
				if strings.HasPrefix(c.What, name) {
					messages = m
				}
			}
			if messages == nil || len(c.Frames) != 1 {
				t.Fatalf("%d messages, %d frames", len(messages), len(c.Frames))
			}
			got := hear(t, c.Frames[0])
			b, frames := collect(t)
			for i, m := range messages {
				if i >= len(got) || got[i] != said(m.channel, m.m) {
					t.Fatalf("heard %v, want %v in place %d", got, said(m.channel, m.m), i)
				}
				if err := b.Add(m.channel, m.m); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Flush(); err != nil {
				t.Fatal(err)
			}
			if len(*frames) != 1 || !bytes.Equal((*frames)[0], c.Frames[0]) {
				t.Fatalf("sent %x, want %x", *frames, c.Frames[0])
			}
			if len(messages) == 1 {
				if one := AppendMessage(nil, messages[0].channel, messages[0].m); !bytes.Equal(one, c.Frames[0]) {
					t.Fatalf("appended %x, want %x", one, c.Frames[0])
				}
			}
		})
	}
}

func TestParseControl(t *testing.T) {
	open := testOpen(300, 0xd1, 0xca)
	if m, err := ParseOpen(open.Append(nil)); err != nil || fmt.Sprint(m) != fmt.Sprint(open) {
		t.Errorf("open: %v, %v", m, err)
	}
	if m, err := ParseOpen([]byte{1, 0, 0}); err != nil || m.ID != nil || len(m.Handshake) != 0 {
		t.Errorf("open without id: %v, %v", m, err)
	}
	if m, err := ParseReject([]byte{7, 9}); err != nil || m.Channel != 7 {
		t.Errorf("reject: %v, %v", m, err)
	}
	if m, err := ParseClose([]byte{0xfd, 5, 0}); err != nil || m.Channel != 5 {
		t.Errorf("close: %v, %v", m, err)
	}
	for _, err := range []error{
		errOf(ParseOpen([]byte{1, 9, 'x'})), errOf(ParseReject(nil)), errOf(ParseClose(nil)), errOf(ParseHandshake(make([]byte, 32))),
	} {
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("short control message: %v", err)
		}
	}
}

func errOf[M any](_ M, err error) error { return err }

// Messages of many sizes and channels come out in order, whatever the frames.
func TestBatchFillsFrames(t *testing.T) {
	for _, sizes := range [][]int{
		{0}, {1, 2, 3}, {15 << 20}, {15 << 20, 15 << 20}, {9 << 20, 9 << 20, 1, 9 << 20},
		{1, 15 << 20, 1}, {MaxPlaintext - 40, 1}, {8 << 20, 8<<20 - 200, 300, 1},
	} {
		b, frames := collect(t)
		var want []heard
		for i, size := range sizes {
			channel := uint64(1 + i%2*300)
			m := Extension{Name: "x", Message: bytes.Repeat([]byte{byte(i)}, size)}
			want = append(want, said(channel, m))
			if err := b.Add(channel, m); err != nil {
				t.Fatalf("sizes %v: %v", sizes, err)
			}
		}
		if err := b.Flush(); err != nil || b.Len() != 0 {
			t.Fatal(err)
		}
		var got []heard
		for _, f := range *frames {
			got = append(got, hear(t, f)...)
		}
		if len(got) != len(want) {
			t.Fatalf("sizes %v: heard %d messages of %d", sizes, len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("sizes %v: message %d differs", sizes, i)
			}
		}
	}
}

func TestBatchLargestMessage(t *testing.T) {
	b, frames := collect(t)
	fits := Extension{Message: make([]byte, MaxPlaintext-3)} // channel, type, empty name
	if err := b.Add(1, Cancel{ID: 1}); err != nil {
		t.Fatal(err)
	}
	if err := b.Add(1, fits); err != nil {
		t.Fatal(err)
	}
	if len(*frames) != 2 || len((*frames)[1]) != MaxPlaintext || b.Len() != 0 {
		t.Fatalf("%d frames", len(*frames))
	}
	if err := b.Add(1, Extension{Message: make([]byte, MaxPlaintext-2)}); err == nil {
		t.Fatal("a message that fits no frame was taken")
	}
	if err := b.Add(2, Cancel{ID: 2}); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err != nil || len(*frames) != 3 {
		t.Fatalf("%d frames, %v", len(*frames), err)
	}
	if got := hear(t, (*frames)[2]); len(got) != 1 || got[0] != said(2, Cancel{ID: 2}) {
		t.Fatalf("heard %v", got)
	}
}

func TestEachMessageRefuses(t *testing.T) {
	nested := AppendMessage(nil, 1, Cancel{ID: 1})
	wrap := func(message []byte) []byte { // message: type, payload of the control channel
		return append([]byte{0, 0, 0, byte(len(message))}, message...)
	}
	// A batch within a batch is understood, a third is not.
	inner := []byte{0, 1, 2, TypeCancel, 9} // batch: channel 1, 2 bytes
	if got := hear(t, wrap(inner)); len(got) != 1 || got[0] != said(1, Cancel{ID: 9}) {
		t.Fatalf("nested: %v", got)
	}
	deeper := wrap(wrap(inner)[1:])
	for name, frame := range map[string][]byte{
		"channel alone":   {1},
		"short channel":   {0xfd, 1},
		"batch alone":     {0, 0},
		"batch too short": {0, 0, 1, 9, 8, 7},
		"switch at end":   {0, 0, 1, 0},
		"empty type":      append([]byte{0, 0, 1}, 1, 0xfd),
		"three deep":      deeper,
	} {
		err := EachMessage(frame, func(uint64, uint64, []byte) error { return nil })
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s %x: %v", name, frame, err)
		}
	}
	if err := EachMessage(nil, func(uint64, uint64, []byte) error { return errors.New("called") }); err != nil {
		t.Errorf("empty frame: %v", err)
	}
	stop := errors.New("stop")
	if err := EachMessage(nested, func(uint64, uint64, []byte) error { return stop }); err != stop {
		t.Errorf("error of the callback: %v", err)
	}
}

func BenchmarkBatchData(b *testing.B) {
	value := make([]byte, 64<<10)
	m := Data{ID: 1, Proof: merkle.Proof{Block: &merkle.BlockProof{Index: 1 << 20, Value: value, Nodes: make([]merkle.Node, 3)}}}
	batch := NewBatch(func([]byte) error { return nil })
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		if err := batch.Add(1, m); err != nil {
			b.Fatal(err)
		}
		if batch.Len() > 512<<10 {
			if err := batch.Flush(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
