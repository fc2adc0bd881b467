package hypercore_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
)

// hexBytes is a JSON string of hex; null stays nil.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// hex32 is a JSON string of 64 hex characters.
type hex32 [32]byte

func (h *hex32) UnmarshalText(text []byte) error {
	k, err := hypercore.ParseKey(string(text))
	*h = hex32(k)
	return err
}

// vectorNode is a node as the vectors write it.
type vectorNode struct {
	Index, Size uint64
	Hash        hex32
}

func vectorNodes(in []vectorNode) []merkle.Node {
	out := make([]merkle.Node, len(in))
	for i, n := range in {
		out[i] = merkle.Node{Index: n.Index, Size: n.Size, Hash: merkle.Hash(n.Hash)}
	}
	return out
}

// vectorManifest is a manifest as the vectors write it.
type vectorManifest struct {
	Version    uint64
	AllowPatch bool
	Quorum     uint64
	Signers    []struct{ Namespace, PublicKey hex32 }
	Prologue   *struct {
		Hash   hex32
		Length uint64
	}
	Linked   []hex32
	UserData hexBytes
}

func (v *vectorManifest) manifest() *hypercore.Manifest {
	m := &hypercore.Manifest{Version: v.Version, AllowPatch: v.AllowPatch, Quorum: v.Quorum, UserData: v.UserData}
	for _, s := range v.Signers {
		m.Signers = append(m.Signers, hypercore.Signer{Namespace: s.Namespace, PublicKey: s.PublicKey})
	}
	if p := v.Prologue; p != nil {
		m.Prologue = &hypercore.Prologue{Hash: p.Hash, Length: p.Length}
	}
	for _, key := range v.Linked {
		m.Linked = append(m.Linked, key)
	}
	return m
}

// readVectors reads testdata/name.json.
func readVectors(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// nodeMap is a merkle.NodeReader in memory.
type nodeMap map[uint64]merkle.Node

func (m nodeMap) Node(index uint64) (merkle.Node, bool, error) {
	n, ok := m[index]
	return n, ok, nil
}

func (m nodeMap) put(nodes []merkle.Node) {
	for _, n := range nodes {
		m[n.Index] = n
	}
}

// vectorLog is the core of core-lengths.json: its blocks, all its nodes, and
// for each length the tree and the signature.
type vectorLog struct {
	keyPair    hypercore.KeyPair
	manifest   *hypercore.Manifest
	blocks     [][]byte
	nodes      nodeMap
	trees      []merkle.Tree
	signatures [][]byte
}

func readVectorLog(t *testing.T) *vectorLog {
	t.Helper()
	var v struct {
		SecretKey              hexBytes
		Blocks                 []hexBytes
		AllTreeNodesAtLength20 []vectorNode
		Lengths                []struct {
			Length        uint64
			Roots         []vectorNode
			SignatureBlob hexBytes
		}
	}
	readVectors(t, "core-lengths", &v)
	l := &vectorLog{nodes: nodeMap{}}
	l.keyPair = hypercore.KeyPairFromSeed([32]byte(v.SecretKey[:32]))
	l.manifest = hypercore.DefaultManifest(l.keyPair.Public)
	for _, b := range v.Blocks {
		l.blocks = append(l.blocks, b)
	}
	l.nodes.put(vectorNodes(v.AllTreeNodesAtLength20))
	for _, s := range v.Lengths {
		l.trees = append(l.trees, merkle.Tree{Length: s.Length, Roots: vectorNodes(s.Roots)})
		l.signatures = append(l.signatures, s.SignatureBlob)
	}
	return l
}
