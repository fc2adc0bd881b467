package hypercore_test

import (
	"bytes"
	"errors"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// Each flipped bit of the 64 bytes of a signature, and of the fork and the
// length that it is about, is refused. Package merkle does the same for the
// other parts of a proof.
func TestDamagedSignaturesAreRefused(t *testing.T) {
	const most = 8
	l := readVectorLog(t)
	reader := func(from int) *replica {
		r := newReplica(l.manifest.Key())
		r.manifest, r.tree = l.manifest, l.trees[from]
		r.nodes.put(r.tree.Roots)
		return r
	}
	for length := 1; length <= most; length++ {
		for from := 0; from < length; from++ {
			payload, err := l.prove(length, wire.Request{ID: 1, Request: merkle.Request{
				Upgrade: &merkle.UpgradeRequest{Start: uint64(from), Length: uint64(length - from)},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if err := reader(from).receive(payload); err != nil {
				t.Fatalf("honest upgrade from %d to %d: %v", from, length, err)
			}
			at := bytes.Index(payload, l.signatures[length])
			step := 1
			if from > 0 {
				step = 31 // the signature is the same one
			}
			for bit := 0; bit < 8*64; bit += step {
				flipped := bytes.Clone(payload)
				flipped[at+2+bit/8] ^= 1 << (bit % 8) // after the count and the signer
				if err := reader(from).receive(flipped); !errors.Is(err, hypercore.ErrBadProof) || !errors.Is(err, hypercore.ErrInvalidSignature) {
					t.Fatalf("from %d to %d: bit %d of the signature: %v", from, length, bit, err)
				}
			}
			for bit := range 53 {
				data, err := wire.ParseData(payload)
				if err != nil {
					t.Fatal(err)
				}
				data.Fork ^= 1 << bit
				if err := reader(from).receive(data.Append(nil)); !errors.Is(err, hypercore.ErrBadProof) {
					t.Fatalf("from %d to %d: bit %d of the fork: %v", from, length, bit, err)
				}
				forked := reader(from) // a reader on that fork finds the signature wrong
				forked.tree.Fork = data.Fork
				if err := forked.receive(data.Append(nil)); !errors.Is(err, hypercore.ErrInvalidSignature) {
					t.Fatalf("from %d to %d: on fork %d: %v", from, length, data.Fork, err)
				}
				data.Fork ^= 1 << bit
				data.Upgrade.Length ^= 1 << bit
				if err := reader(from).receive(data.Append(nil)); !errors.Is(err, hypercore.ErrBadProof) {
					t.Fatalf("from %d to %d: bit %d of the length: %v", from, length, bit, err)
				}
			}
		}
	}
}
