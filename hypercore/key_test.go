package hypercore_test

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
)

func TestCryptoVectors(t *testing.T) {
	var v struct {
		KeyPairs []struct {
			Seed, PublicKey, DiscoveryKeyOfPublicKey hex32
			SecretKey, SignatureOfMsg                hexBytes
		}
		Leaf []struct {
			Data hexBytes
			Hash hex32
		}
		Parent []struct {
			A, B vectorNode
			Hash hex32
		}
		Tree []struct {
			Roots []vectorNode
			Hash  hex32
		}
		DiscoveryKey []struct{ Key, DiscoveryKey hex32 }
		Z32          []struct {
			Key, DecodedBack hex32
			Z32, ID          string
		}
	}
	readVectors(t, "crypto", &v)
	for _, c := range v.KeyPairs {
		kp := hypercore.KeyPairFromSeed(c.Seed)
		if !bytes.Equal(kp.Public, c.PublicKey[:]) || !bytes.Equal(kp.Secret, c.SecretKey) {
			t.Errorf("seed %x: key pair %x", c.Seed, kp)
		}
		if hypercore.Key(c.PublicKey).Discovery() != hypercore.DiscoveryKey(c.DiscoveryKeyOfPublicKey) {
			t.Errorf("key %x: wrong discovery key", c.PublicKey)
		}
		if !bytes.Equal(ed25519.Sign(kp.Secret, []byte("msg")), c.SignatureOfMsg) {
			t.Errorf("seed %x: signature differs", c.Seed)
		}
	}
	for _, c := range v.Leaf {
		if got := merkle.LeafHash(c.Data); got != merkle.Hash(c.Hash) {
			t.Errorf("leaf of %x: %x", []byte(c.Data), got)
		}
	}
	for _, c := range v.Parent {
		pair := vectorNodes([]vectorNode{c.A, c.B})
		got, err := merkle.ParentNode(pair[0], pair[1])
		if err != nil || got.Hash != merkle.Hash(c.Hash) || got.Size != c.A.Size+c.B.Size || got.Index != merkle.Parent(c.A.Index) {
			t.Errorf("parent of %v: %v, %v", pair, got, err)
		}
	}
	for _, c := range v.Tree {
		if got := merkle.TreeHash(vectorNodes(c.Roots)); got != merkle.Hash(c.Hash) {
			t.Errorf("tree hash of %v: %x", c.Roots, got)
		}
	}
	for _, c := range v.DiscoveryKey {
		if got := hypercore.Key(c.Key).Discovery(); got != hypercore.DiscoveryKey(c.DiscoveryKey) {
			t.Errorf("discovery key of %x: %v", c.Key, got)
		}
	}
	for _, c := range v.Z32 {
		if got := hypercore.Key(c.Key).ZBase32(); got != c.Z32 {
			t.Errorf("z-base-32 of %x: %s, want %s", c.Key, got, c.Z32)
		}
		for _, text := range []string{c.Z32, c.ID, "multicore:" + c.Z32, strings.ToUpper(c.Z32)} {
			if got, err := hypercore.ParseKey(text); err != nil || got != hypercore.Key(c.DecodedBack) {
				t.Errorf("ParseKey(%q) = %v, %v", text, got, err)
			}
		}
	}
}

func TestParseKey(t *testing.T) {
	const good = "bb8dc4325cabb3c3a018556105f3305348d0cef3878992576f18fbcfa1517244"
	for _, text := range []string{good, strings.ToUpper(good), "multicore:" + good} {
		if k, err := hypercore.ParseKey(text); err != nil || k.String() != good {
			t.Errorf("ParseKey(%q) = %v, %v", text, k, err)
		}
	}
	for text, want := range map[string]string{
		good[1:]:                      "not a key: 63 characters, want 64 hex or 52 z-base-32",
		"":                            "not a key: 0 characters, want 64 hex or 52 z-base-32",
		" " + good:                    "not a key: 65 characters, want 64 hex or 52 z-base-32",
		"multicore:" + good[:10]:      "not a key: 10 characters, want 64 hex or 52 z-base-32",
		strings.Repeat("é", 63):       "not a key: 63 characters, want 64 hex or 52 z-base-32",
		good[:4] + "x" + good[5:]:     "not a key: character 'x' at 5 is not hex",
		good[:63] + "é":               "not a key: character 'é' at 64 is not hex",
		strings.Repeat("y", 51) + "l": "not a key: character 'l' at 52 is not z-base-32",
		strings.Repeat("y", 51) + "b": "not a key: the last character holds more than the end of a key",
		"hypercore:" + good:           "not a key: 74 characters, want 64 hex or 52 z-base-32",
		"multicore:multicore:" + good: "not a key: 74 characters, want 64 hex or 52 z-base-32",
		strings.Repeat("\xff", 64):    "not a key: character '\uFFFD' at 1 is not hex",
		strings.Repeat("\u0130", 52):  "not a key: character 'İ' at 1 is not z-base-32",
	} {
		_, err := hypercore.ParseKey(text)
		if _, ok := err.(*hypercore.KeyError); !ok || err.Error() != want {
			t.Errorf("ParseKey(%q): %v, want %s", text, err, want)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("bb8dc4325cabb3c3a018556105f3305348d0cef3878992576f18fbcfa1517244")
	f.Add("multicore:yydohfehrcidnqb9e3gies5npfa8q9wft1j3iepei65m5tgm4mco")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := hypercore.ParseKey(text)
		if err != nil {
			return
		}
		text = strings.ToLower(strings.TrimPrefix(text, "multicore:"))
		if text != k.String() && text != k.ZBase32() {
			t.Fatalf("ParseKey(%q) = %v, %s", text, k, k.ZBase32())
		}
	})
}

func TestCapabilityVectors(t *testing.T) {
	var v struct {
		Namespaces map[string]map[string]hex32
		Capability []struct {
			SenderIsInitiator bool
			Key, Capability   hex32
			HandshakeHash     hexBytes
		}
		TreeSignable []struct {
			Context, TreeHash hex32
			Length, Fork      uint64
			Signable          hexBytes
		}
		TreeSignableCompat []struct {
			TreeHash     hex32
			Length, Fork uint64
			NoHeader     bool
			Signable     hexBytes
		}
	}
	readVectors(t, "caps", &v)
	if hypercore.DefaultNamespace != v.Namespaces["hypercore"]["DEFAULT_NAMESPACE"] {
		t.Error("default namespace differs")
	}
	for _, c := range v.Capability {
		if got := hypercore.Capability(hypercore.Key(c.Key), c.HandshakeHash, c.SenderIsInitiator); got != c.Capability {
			t.Errorf("capability of %x as initiator %v: %x", c.Key, c.SenderIsInitiator, got)
		}
	}

	// The vectors name a tree hash, which no tree here has: put the tree's own
	// in its place, and compare what is around it. In version 0 the context is
	// the signer's namespace.
	tree := merkle.Tree{}
	for _, c := range v.TreeSignable {
		m := &hypercore.Manifest{Version: 0, Quorum: 1, Signers: []hypercore.Signer{{Namespace: c.Context}}}
		tree.Length, tree.Fork = c.Length, c.Fork
		hash := tree.Hash()
		want := bytes.Replace(c.Signable, c.TreeHash[:], hash[:], 1)
		if got := m.Signable(0, tree); !bytes.Equal(got, want) {
			t.Errorf("signable %x, want %x", got, want)
		}
	}
	for _, c := range v.TreeSignableCompat {
		if c.NoHeader { // of a format before Hypercore 10
			continue
		}
		tree.Length, tree.Fork = c.Length, c.Fork
		hash := tree.Hash()
		want := bytes.Replace(c.Signable, c.TreeHash[:], hash[:], 1)
		if got := hypercore.LegacyManifest(hypercore.Key{1}).Signable(0, tree); !bytes.Equal(got, want) {
			t.Errorf("legacy signable %x, want %x", got, want)
		}
	}
}
