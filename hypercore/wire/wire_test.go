package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"

	"multicore/hypercore/compact"
	"multicore/hypercore/merkle"
)

// hexBytes is a JSON string of hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func readVectors(t *testing.T, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/wire.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

// vectorNode is a node as the vectors write it.
type vectorNode struct {
	Index, Size uint64
	Hash        hexBytes
}

func toNodes(in []vectorNode) []merkle.Node {
	var out []merkle.Node
	for _, n := range in {
		out = append(out, merkle.Node{Index: n.Index, Size: n.Size, Hash: merkle.Hash(n.Hash)})
	}
	return out
}

// sample is the union of all messages as the vectors write them.
type sample struct {
	Seeks                                                      bool
	Capability                                                 hexBytes
	Fork, Length, RemoteLength                                 uint64
	CanUpgrade, Uploading, Downloading, HasManifest, AllowPush bool
	ID, Request, Priority, Reason, Start                       uint64
	Any, Drop                                                  bool
	Name                                                       string
	Message                                                    hexBytes
	Bitfield                                                   []uint32
	Manifest                                                   json.RawMessage
	Block                                                      *struct {
		Index uint64
		Value hexBytes
		Nodes json.RawMessage
	}
	Hash *struct {
		Index uint64
		Nodes json.RawMessage
	}
	Seek *struct {
		Bytes, Padding uint64
		Nodes          []vectorNode
	}
	Upgrade *struct {
		Start, Length          uint64
		Nodes, AdditionalNodes []vectorNode
		Signature              hexBytes
	}
}

func decodeJSON[T any](t *testing.T, raw json.RawMessage) (v T) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (s sample) request(t *testing.T) Request {
	m := Request{ID: s.ID, Priority: s.Priority}
	m.Fork = s.Fork
	if s.Block != nil {
		m.Block = &merkle.BlockRequest{Index: s.Block.Index, Nodes: decodeJSON[uint64](t, s.Block.Nodes)}
	}
	if s.Hash != nil {
		m.Hash = &merkle.HashRequest{Index: s.Hash.Index, Nodes: decodeJSON[uint64](t, s.Hash.Nodes)}
	}
	if s.Seek != nil {
		m.Seek = &merkle.SeekRequest{Bytes: s.Seek.Bytes, Padding: s.Seek.Padding}
	}
	if s.Upgrade != nil {
		m.Upgrade = &merkle.UpgradeRequest{Start: s.Upgrade.Start, Length: s.Upgrade.Length}
	}
	m.Manifest = string(s.Manifest) == "true"
	return m
}

func (s sample) data(t *testing.T) Data {
	m := Data{ID: s.Request}
	m.Fork = s.Fork
	if b := s.Block; b != nil {
		m.Block = &merkle.BlockProof{Index: b.Index, Value: b.Value, Nodes: toNodes(decodeJSON[[]vectorNode](t, b.Nodes))}
	}
	if h := s.Hash; h != nil {
		m.Hash = &merkle.HashProof{Index: h.Index, Nodes: toNodes(decodeJSON[[]vectorNode](t, h.Nodes))}
	}
	if s.Seek != nil {
		m.Seek = &merkle.SeekProof{Bytes: s.Seek.Bytes, Nodes: toNodes(s.Seek.Nodes)}
	}
	if u := s.Upgrade; u != nil {
		m.Upgrade = &merkle.UpgradeProof{Start: u.Start, Length: u.Length, Nodes: toNodes(u.Nodes),
			Additional: toNodes(u.AdditionalNodes), Signature: u.Signature}
	}
	type manifest struct {
		Signers []struct{ Namespace, PublicKey hexBytes }
	}
	if s.Manifest == nil {
		return m
	}
	if manifest := decodeJSON[*manifest](t, s.Manifest); manifest != nil { // version 1, quorum 1, one signer (spec 3)
		m.Manifest = append([]byte{1, 0, 0, 1, 1, 0}, manifest.Signers[0].Namespace...)
		m.Manifest = append(m.Manifest, manifest.Signers[0].PublicKey...)
	}
	return m
}

func (s sample) toMessage(t *testing.T, name string) Message {
	t.Helper()
	switch name {
	case "sync":
		return Sync{Fork: s.Fork, Length: s.Length, RemoteLength: s.RemoteLength, CanUpgrade: s.CanUpgrade,
			Uploading: s.Uploading, Downloading: s.Downloading, HasManifest: s.HasManifest, AllowPush: s.AllowPush}
	case "request":
		return s.request(t)
	case "cancel":
		return Cancel{ID: s.Request}
	case "data":
		return s.data(t)
	case "noData":
		return NoData{ID: s.Request, Reason: s.Reason}
	case "want":
		return Want{Start: s.Start, Length: s.Length, Any: s.Any}
	case "unwant":
		return Unwant{Start: s.Start, Length: s.Length, Any: s.Any}
	case "bitfield":
		return Bitfield{Start: s.Start, Words: s.Bitfield}
	case "range":
		return Range{Drop: s.Drop, Start: s.Start, Length: s.Length}
	case "extension":
		return Extension{Name: s.Name, Message: s.Message}
	}
	t.Fatalf("no message %q", name)
	return nil
}

func TestSamples(t *testing.T) {
	var v struct {
		MessageTypes []string
		Samples      []struct {
			Type    *uint64
			Name    string
			Message sample
			Payload hexBytes
		}
		TolerantDecodes []struct {
			Name    string
			Payload hexBytes
			OK      bool
			Decoded sample
		}
	}
	readVectors(t, &v)
	for _, s := range v.Samples {
		if s.Name == "handshake" {
			want := Handshake{Seeks: s.Message.Seeks, Capability: [32]byte(s.Message.Capability)}
			got, err := ParseHandshake(s.Payload)
			if err != nil || got != want || !bytes.Equal(want.Append(nil), s.Payload) {
				t.Errorf("handshake %x: %+v, %v", []byte(s.Payload), got, err)
			}
			continue
		}
		want := s.Message.toMessage(t, s.Name)
		if want.Type() != *s.Type || v.MessageTypes[want.Type()] != s.Name {
			t.Errorf("%s has type %d, want %d", s.Name, want.Type(), *s.Type)
		}
		if got := want.Append(nil); !bytes.Equal(got, s.Payload) {
			t.Errorf("%s: encoded %x, want %x", s.Name, got, []byte(s.Payload))
		}
		got, err := Parse(*s.Type, s.Payload)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s %x: %+v, %v, want %+v", s.Name, []byte(s.Payload), got, err, want)
		}
	}
	for _, s := range v.TolerantDecodes {
		typ := s.Decoded.toMessage(t, s.Name).Type()
		got, err := Parse(typ, s.Payload)
		if (err == nil) != s.OK || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s %x: %v, want ok %v", s.Name, []byte(s.Payload), err, s.OK)
		}
		if s.OK && !reflect.DeepEqual(got, s.Decoded.toMessage(t, s.Name)) {
			t.Errorf("%s %x: %+v", s.Name, []byte(s.Payload), got)
		}
	}
}

// Bytes behind a message are ignored (spec 1).
func TestTrailingBytes(t *testing.T) {
	for _, m := range []Message{
		Sync{Length: 5}, Request{ID: 3, Priority: 1}, Cancel{ID: 7}, NoData{ID: 9, Reason: 1},
		Want{Length: 32, Any: true}, Bitfield{Start: 32, Words: []uint32{1}}, Range{Start: 4, Length: 9},
	} {
		got, err := Parse(m.Type(), append(m.Append(nil), 1, 2, 3))
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%T: %+v, %v, want %+v", m, got, err, m)
		}
	}
}

func TestUnknownTypeIsNoError(t *testing.T) {
	if m, err := Parse(10, []byte{1}); m != nil || err != nil {
		t.Fatalf("type 10: %v, %v", m, err)
	}
}

func TestParseBounds(t *testing.T) {
	huge := compact.AppendUint(nil, compact.MaxUint)
	twoHuge := append(append([]byte{}, huge...), huge...)
	nodes := make([]merkle.Node, MaxNodes+1)
	for name, c := range map[string]struct {
		typ     uint64
		payload []byte
	}{
		"range beyond 2^53":    {TypeRange, append([]byte{0}, twoHuge...)},
		"want beyond 2^53":     {TypeWant, twoHuge},
		"unwant beyond 2^53":   {TypeUnwant, twoHuge},
		"one block at 2^53":    {TypeRange, append([]byte{2}, huge...)},
		"bitfield start":       {TypeBitfield, []byte{31, 0}},
		"bitfield words":       {TypeBitfield, []byte{0, 0xfe, 0, 0, 16, 0, 1, 2, 3, 4}},
		"bitfield beyond 2^53": {TypeBitfield, append(compact.AppendUint(nil, 1<<53-32), 1, 0, 0, 0, 0)},
		"node count":           {TypeData, []byte{partHash, 1, 0, 4, 0xfd, 0xff, 0xff}},
		"too many nodes":       {TypeData, Data{Proof: merkle.Proof{Hash: &merkle.HashProof{Nodes: nodes}}}.Append(nil)},
		"block value":          {TypeData, []byte{partBlock, 1, 0, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0}},
		"number beyond 2^53":   {TypeCancel, []byte{0xff, 0, 0, 0, 0, 0, 0, 0x20, 0}},
	} {
		if m, err := Parse(c.typ, c.payload); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}
