package wire

import (
	"bytes"
	"testing"

	"multicore/hypercore/merkle"
)

// parseAny is Parse with the messages of the control channel, and the handshake,
// under numbers of their own.
func parseAny(typ uint64, payload []byte) (Message, error) {
	switch typ {
	case 100 + TypeOpen:
		return ParseOpen(payload)
	case 100 + TypeReject:
		return ParseReject(payload)
	case 100 + TypeClose:
		return ParseClose(payload)
	}
	return Parse(typ, payload)
}

// What parses encodes to no more bytes, and what is encoded parses to the same.
func FuzzParse(f *testing.F) {
	node := merkle.Node{Index: 4, Size: 9, Hash: merkle.Hash{1}}
	for _, m := range []Message{
		Sync{Fork: 3, Length: 300, RemoteLength: 70000, CanUpgrade: true, HasManifest: true},
		Request{ID: 1, Priority: 1, Request: merkle.Request{Block: &merkle.BlockRequest{Index: 5, Nodes: 2}, Manifest: true,
			Upgrade: &merkle.UpgradeRequest{Start: 4, Length: 6}}},
		Request{ID: 300, Request: merkle.Request{Hash: &merkle.HashRequest{Index: 6, Nodes: 1}, Seek: &merkle.SeekRequest{Bytes: 1000, Padding: 8}}},
		Cancel{ID: 7},
		Data{ID: 1, Proof: merkle.Proof{Block: &merkle.BlockProof{Index: 5, Value: []byte("hello"), Nodes: []merkle.Node{node}}}},
		Data{ID: 2, Proof: merkle.Proof{Hash: &merkle.HashProof{Index: 4, Nodes: []merkle.Node{node}}, Seek: &merkle.SeekProof{Bytes: 20}}},
		Data{ID: 3, Proof: merkle.Proof{Upgrade: &merkle.UpgradeProof{Length: 5, Nodes: []merkle.Node{node}, Additional: []merkle.Node{node},
			Signature: make([]byte, 68)}, Manifest: []byte{1, 2}}},
		NoData{ID: 9, Reason: 2}, Want{Start: 4096, Length: 4096, Any: true}, Unwant{Length: WantWindow},
		Bitfield{Start: 32, Words: []uint32{11, 0}}, Range{Start: 7, Length: 1}, Range{Drop: true, Start: 3, Length: 2},
		Extension{Name: "hello", Message: []byte("x")},
	} {
		f.Add(m.Type(), m.Append(nil))
	}
	f.Add(uint64(100+TypeOpen), testOpen(3, 1, 2).Append(nil))
	f.Add(uint64(100+TypeClose), []byte{0xfd, 5, 0})
	f.Fuzz(func(t *testing.T, typ uint64, payload []byte) {
		if h, err := ParseHandshake(payload); err == nil {
			if again, err := ParseHandshake(h.Append(nil)); err != nil || again != h {
				t.Fatalf("handshake %x becomes %+v, %v", payload, again, err)
			}
		}
		m, err := parseAny(typ, payload)
		if err != nil || m == nil {
			return
		}
		out := m.Append(nil)
		if len(out) > len(payload)+1 { // flags that older peers leave out
			t.Fatalf("%T %x becomes %x", m, payload, out)
		}
		again, err := parseAny(typ, out)
		if err != nil {
			t.Fatalf("%T %x becomes %x: %v", m, payload, out, err)
		}
		if twice := again.Append(nil); !bytes.Equal(twice, out) {
			t.Fatalf("%T %x becomes %x, then %x", m, payload, out, twice)
		}
	})
}

// Whatever the frame, its messages come out of a Batch as they were.
func FuzzEachMessage(f *testing.F) {
	f.Add([]byte{0, 0, 1, 5, 0, 0x0f, 0, 5, 0, 4, 8, 0, 0, 5, 0, 2, 4, 8, 0, 0, 9})
	f.Add([]byte{1, 8, 0, 0, 5})
	f.Add([]byte{0, 0, 0, 5, 0, 1, 2, 2, 9, 0, 3, 2, 3, 4})
	f.Fuzz(func(t *testing.T, frame []byte) {
		var want []heard
		b, frames := collect(t)
		err := EachMessage(frame, func(channel, typ uint64, payload []byte) error {
			want = append(want, heard{channel, typ, string(payload)})
			return b.Add(channel, rawMessage{typ, payload})
		})
		if err != nil {
			return
		}
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
		var got []heard
		for _, f := range *frames {
			got = append(got, hear(t, f)...)
		}
		if len(got) != len(want) {
			t.Fatalf("%d messages become %d", len(want), len(got))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%v becomes %v", want[i], got[i])
			}
		}
	})
}

// rawMessage is any message.
type rawMessage struct {
	typ     uint64
	payload []byte
}

func (m rawMessage) Type() uint64             { return m.typ }
func (m rawMessage) Append(buf []byte) []byte { return append(buf, m.payload...) }
