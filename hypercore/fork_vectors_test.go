package hypercore_test

import (
	"bytes"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
	"multicore/hypercore/wire"
)

// A core that does what the recorded one did has its heads, to the byte.
func TestTruncateVectors(t *testing.T) {
	var v struct {
		Steps []struct {
			Label                    string
			Length, Fork, ByteLength uint64
			TreeHash                 hex32
			SignatureBlob            hexBytes
		}
	}
	readVectors(t, "fork", &v)
	l := readVectorLog(t)
	c, _ := openVectorLog(t, l, 5)
	for _, s := range v.Steps {
		switch {
		case s.Fork == c.Head().Fork && s.Length > c.Head().Length:
			// The block that the recorded core appended is not in the vectors.
			continue
		case s.Fork == c.Head().Fork+1:
			if err := c.Truncate(t.Context(), s.Length); err != nil {
				t.Fatal(err)
			}
		}
		if h := c.Head(); h.Fork != s.Fork || h.Length != s.Length || h.ByteLength() != s.ByteLength ||
			h.Hash() != merkle.Hash(s.TreeHash) || !bytes.Equal(h.Signature, s.SignatureBlob) {
			t.Errorf("%s: %+v", s.Label, h)
		}
	}
}

// A reader of the five old blocks follows the recorded writer.
func TestReorganiseVectors(t *testing.T) {
	var v struct {
		ForkProofDataWire, ForkProofAfterTruncateDataWire hexBytes
		VerifyReorgOnReaderWithFiveOldBlocks              struct {
			Want         struct{ Nodes, Start, End uint64 }
			Length, Fork uint64
		}
	}
	readVectors(t, "fork", &v)
	want := v.VerifyReorgOnReaderWithFiveOldBlocks
	for i, payload := range []hexBytes{v.ForkProofDataWire, v.ForkProofAfterTruncateDataWire} {
		l := readVectorLog(t)
		writer, _ := openVectorLog(t, l, 5)
		st := storage.Memory()
		defer st.Close()
		reader, err := hypercore.Open(hypercore.NewFlusher(st, nil), hypercore.Options{Key: writer.Key()})
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		p, err := writer.Prove(merkle.Request{Upgrade: &merkle.UpgradeRequest{Length: 5}, Manifest: true})
		if err == nil {
			err = reader.Apply(p)
		}
		for b := uint64(0); err == nil && b < 5; b++ {
			var nodes uint64
			if nodes, err = reader.Missing(2 * b); err == nil {
				if p, err = writer.Prove(merkle.Request{Block: &merkle.BlockRequest{Index: b, Nodes: nodes}}); err == nil {
					err = reader.Apply(p)
				}
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		m, err := wire.Parse(wire.TypeData, payload)
		if err != nil {
			t.Fatal(err)
		}
		d := m.(wire.Data)
		r, err := reader.Reorganise(&d.Proof)
		if err != nil {
			t.Fatal(err)
		}
		q, more, err := r.Next()
		length, kept := want.Length, uint64(0)
		if i == 0 {
			if err != nil || !more || q != (merkle.HashRequest{Index: 2 * want.Want.Start, Nodes: want.Want.Nodes}) {
				t.Errorf("next %+v, %v, %v, want the path that JavaScript asks for", q, more, err)
			}
		} else { // roots 1 and 4 are the old ones
			if length, kept = 3, 3; err != nil || more {
				t.Errorf("next %+v, %v, %v", q, more, err)
			}
		}
		if err := r.Install(); err != nil {
			t.Fatal(err)
		}
		if info := reader.Info(); info.Fork != want.Fork || info.Length != length || info.Contiguous != kept {
			t.Errorf("%+v", info)
		}
	}
}

// openVectorLog opens the recorded core as its writer with its first n blocks.
func openVectorLog(t *testing.T, l *vectorLog, n int) (*hypercore.Core, *hypercore.Flusher) {
	t.Helper()
	st := storage.Memory()
	f := hypercore.NewFlusher(st, nil)
	c, err := hypercore.Open(f, hypercore.Options{Key: l.manifest.Key(), KeyPair: &l.keyPair})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		f.Close()
		st.Close()
	})
	if _, err := c.Append(t.Context(), l.blocks[:n]...); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, f
}
