package secretstream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
)

type seeded struct{ Seed, PublicKey raw }

func (s seeded) pair() *KeyPair { return NewKeyPair([32]byte(s.Seed)) }

type noiseVectors struct {
	ProtocolName                           string
	InitiatorStatic, ResponderStatic       seeded
	InitiatorEphemeral, ResponderEphemeral seeded
	SecretstreamHeaders                    struct{ Values []raw }
	SetupWire                              []struct {
		From string
		Hex  raw
	}
	Keys map[string]struct {
		Tx, Rx, HandshakeHash, PublicKey, RemotePublicKey raw
	}
	StreamIds map[string]raw
	Frames    []struct {
		From            string
		Plaintext, Wire raw
	}
	Received map[string][]raw
	DH       []struct{ LocalSeed, RemotePublicKey, Shared, Reverse raw }
	Bad      []struct {
		Label    string
		Point    raw
		Accepted bool
	} `json:"badPoints"`
}

// TestNoiseVectors runs both ends over TCP with fixed randomness: each byte
// that either sends, and all that follows from the handshake, is known.
func TestNoiseVectors(t *testing.T) {
	var v noiseVectors
	vectors(t, "noise.json", &v)
	if v.ProtocolName != protocolName {
		t.Fatalf("protocol %s", v.ProtocolName)
	}
	for _, s := range []seeded{v.InitiatorStatic, v.ResponderStatic, v.InitiatorEphemeral, v.ResponderEphemeral} {
		if got := s.pair().Public(); !bytes.Equal(got[:], s.PublicKey) {
			t.Errorf("public key %x, want %x", got, s.PublicKey)
		}
	}
	a, b := sockets(t)
	taps := map[string]*tap{"initiator": {Conn: a, flip: -1}, "responder": {Conn: b, flip: -1}}
	i, r, ierr, rerr := shakeBoth(t, taps["initiator"], taps["responder"],
		Options{Static: v.InitiatorStatic.pair(), Rand: bytes.NewReader(slices.Concat(v.InitiatorEphemeral.Seed, v.SecretstreamHeaders.Values[0]))},
		Options{Rand: bytes.NewReader(slices.Concat(v.ResponderStatic.Seed, v.ResponderEphemeral.Seed, v.SecretstreamHeaders.Values[1]))})
	if err := errors.Join(ierr, rerr); err != nil {
		t.Fatal(err)
	}
	ends := map[string]*Conn{"initiator": i, "responder": r}
	wire := map[string][]byte{}
	for _, f := range v.SetupWire {
		wire[f.From] = append(wire[f.From], f.Hex...)
	}
	for name, c := range ends {
		want := v.Keys[name]
		if got := taps[name].wrote.Bytes(); !bytes.Equal(got, wire[name]) {
			t.Errorf("%s sent\n%x, want\n%x", name, got, wire[name])
		}
		hash, remote := c.HandshakeHash(), c.RemoteKey()
		if !bytes.Equal(hash[:], want.HandshakeHash) {
			t.Errorf("%s: handshake hash %x", name, hash)
		}
		if !bytes.Equal(remote[:], want.RemotePublicKey) {
			t.Errorf("%s: remote key %x", name, remote)
		}
		if id, _ := streamIDs(hash, c.Initiator()); !bytes.Equal(id[:], v.StreamIds[name]) {
			t.Errorf("%s: stream id %x", name, id)
		}
		taps[name].wrote.Reset()
	}
	var fromI, fromR []byte
	for _, f := range v.Frames {
		if _, err := ends[f.From].Write(framed(f.Plaintext)); err != nil {
			t.Fatal(err)
		}
		if got := taps[f.From].wrote.Bytes(); !bytes.Equal(got, f.Wire) {
			t.Errorf("%s sent\n%x for %q, want\n%x", f.From, got, f.Plaintext, f.Wire)
		}
		taps[f.From].wrote.Reset()
	}
	for _, p := range v.Received["A"] {
		fromR = appendFrame(fromR, p)
	}
	for _, p := range v.Received["B"] {
		fromI = appendFrame(fromI, p)
	}
	for name, want := range map[string][]byte{"initiator": fromR, "responder": fromI} {
		got := make([]byte, len(want))
		if _, err := io.ReadFull(ends[name], got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s received %x, %v, want %x", name, got, err, want)
		}
	}
}

func TestDHVectors(t *testing.T) {
	var v noiseVectors
	vectors(t, "noise.json", &v)
	for _, d := range v.DH {
		got, err := NewKeyPair([32]byte(d.LocalSeed)).dh(d.RemotePublicKey)
		if err != nil || !bytes.Equal(got, d.Shared) || !bytes.Equal(got, d.Reverse) {
			t.Errorf("shared secret %x, %v, want %x", got, err, d.Shared)
		}
	}
	for _, b := range v.Bad {
		if _, err := v.InitiatorStatic.pair().dh(b.Point); (err == nil) != b.Accepted {
			t.Errorf("%s: %v", b.Label, err)
		}
	}
}

// TestSplit: the keys of both ends, before they are used.
func TestSplit(t *testing.T) {
	var v noiseVectors
	vectors(t, "noise.json", &v)
	i := newNoise(v.InitiatorStatic.pair(), v.InitiatorEphemeral.pair())
	r := newNoise(v.ResponderStatic.pair(), v.ResponderEphemeral.pair())
	r.read1(i.write1())
	m2, err := r.write2()
	if err == nil {
		err = i.read2(m2)
	}
	if err != nil {
		t.Fatal(err)
	}
	m3, err := i.write3()
	if err == nil {
		err = r.read3(m3)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*noise{i, r} {
		tx, rx := n.split()
		if k := v.Keys["initiator"]; !bytes.Equal(tx[:], k.Tx) || !bytes.Equal(rx[:], k.Rx) {
			t.Errorf("keys %x and %x", tx, rx)
		}
	}
}

// state is that of libsodium: key, nonce (counter, inonce), 8 bytes of padding.
func (d *direction) state() []byte {
	n := d.nonce()
	return append(append(append([]byte(nil), d.key[:]...), n[:]...), make([]byte, 8)...)
}

func fromState(b []byte) *direction {
	d := &direction{counter: binary.LittleEndian.Uint32(b[32:]), inonce: [8]byte(b[36:])}
	d.setKey(b[:32])
	return d
}

func (d *direction) sealOne(plain []byte, tag byte) []byte {
	return bytes.Clone(d.seal(append(make([]byte, blockSize), plain...), tag))
}

func (d *direction) openOne(content []byte) ([]byte, bool) {
	return d.open(append(make([]byte, blockSize-1), content...))
}

func TestSecretstreamVectors(t *testing.T) {
	var v struct {
		Key, Header, InitialState raw
		Sequence                  []struct{ Plaintext, Ciphertext, StateAfter raw }
		CounterWrap               struct {
			StateBefore, Plaintext, Ciphertext, StateAfterRekey, NextPlaintext, NextCiphertext raw
		}
	}
	vectors(t, "secretstream.json", &v)
	tx := newDirection([32]byte(v.Key), [headerSize]byte(v.Header))
	rx := newDirection([32]byte(v.Key), [headerSize]byte(v.Header))
	step := func(plain, cipher, state raw) {
		t.Helper()
		if got := tx.sealOne(plain, tagMessage); !bytes.Equal(got, cipher) {
			t.Errorf("sealed %x, want %x", got, cipher)
		}
		if got, ok := rx.openOne(cipher); !ok || !bytes.Equal(got, plain) {
			t.Errorf("opened %x, %v, want %x", got, ok, plain)
		}
		if state != nil && (!bytes.Equal(tx.state(), state) || !bytes.Equal(rx.state(), state)) {
			t.Errorf("state %x and %x, want %x", tx.state(), rx.state(), state)
		}
	}
	if !bytes.Equal(tx.state(), v.InitialState) {
		t.Fatalf("initial state %x", tx.state())
	}
	for _, s := range v.Sequence {
		step(s.Plaintext, s.Ciphertext, s.StateAfter)
	}
	w := v.CounterWrap
	tx, rx = fromState(w.StateBefore), fromState(w.StateBefore)
	step(w.Plaintext, w.Ciphertext, w.StateAfterRekey)
	step(w.NextPlaintext, w.NextCiphertext, nil)
}
