package hypercore_test

import (
	"bytes"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/wire"
)

// A conversation recorded between two JavaScript peers, of which the reader is
// the initiator: every message is understood and would be sent alike, both
// capabilities are right, and what the writer sent verifies.
func TestTranscript(t *testing.T) {
	var v struct {
		Key, DiscoveryKey hex32
		HandshakeHash     hexBytes
		Frames            []struct {
			N   int
			Dir string
			Hex hexBytes
		}
	}
	readVectors(t, "transcript", &v)
	key := hypercore.Key(v.Key)
	reader := newReplica(key)
	seen := map[uint64]int{}
	for _, f := range v.Frames {
		fromReader := f.Dir == "tx"
		err := wire.EachMessage(f.Hex, func(channel, typ uint64, payload []byte) error {
			if channel == wire.ControlChannel {
				m, err := wire.ParseOpen(payload)
				if err != nil || typ != wire.TypeOpen {
					t.Errorf("frame %d: control message %d: %v", f.N, typ, err)
					return err
				}
				h, err := wire.ParseHandshake(m.Handshake)
				if err != nil || h.Capability != hypercore.Capability(key, v.HandshakeHash, fromReader) {
					t.Errorf("frame %d: handshake %+v, %v", f.N, h, err)
				}
				if m.Protocol != wire.Protocol || !bytes.Equal(m.ID, v.DiscoveryKey[:]) || !bytes.Equal(m.Append(nil), payload) {
					t.Errorf("frame %d: open %+v", f.N, m)
				}
				return nil
			}
			seen[typ]++
			m, err := wire.Parse(typ, payload)
			if err != nil || m == nil {
				t.Errorf("frame %d: message %d: %v, %v", f.N, typ, m, err)
				return err
			}
			if got := m.Append(nil); !bytes.Equal(got, payload) {
				t.Errorf("frame %d: %T encoded %x, want %x", f.N, m, got, payload)
			}
			if _, ok := m.(wire.Data); ok {
				if err := reader.receive(payload); err != nil {
					t.Errorf("frame %d: %v", f.N, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("frame %d: %v", f.N, err)
		}
	}
	if seen[wire.TypeData] == 0 || seen[wire.TypeRequest] != seen[wire.TypeData] || reader.tree.Length == 0 || len(reader.blocks) == 0 {
		t.Errorf("messages %v, length %d, %d blocks", seen, reader.tree.Length, len(reader.blocks))
	}
}
