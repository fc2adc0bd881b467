package corestore

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"multicore/hypercore"
)

// TestVectors checks the derivation against keys made by the JavaScript package.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/corestore.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Stores []struct {
			PrimaryKey     string
			NamespaceLabel string
			NamespaceChain []string
			Namespace      string
			Cores          []struct {
				Name, PublicKey, SecretKey, Seed, CoreKey, DiscoveryKey, ID, ManifestEncoded string
			}
		}
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	cores := 0
	for _, store := range vectors.Stores {
		primary, err := ParsePrimaryKey([]byte(store.PrimaryKey + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		var ns Namespace
		for _, name := range store.NamespaceChain {
			if store.NamespaceLabel == "buffer-0x00.." { // given as bytes, in hex
				name = string(unhex(t, name))
			}
			ns = ns.Sub(name)
		}
		wantHex(t, store.NamespaceLabel+" namespace", ns[:], store.Namespace)
		for _, core := range store.Cores {
			cores++
			what := store.NamespaceLabel + " " + core.Name + " "
			pair := deriveKeyPair(primary, ns, core.Name)
			wantHex(t, what+"public key", pair.Public, core.PublicKey)
			wantHex(t, what+"secret key", pair.Secret, core.SecretKey)
			wantHex(t, what+"seed", pair.Secret.Seed(), core.Seed)
			if core.CoreKey == "" { // the empty name derives a key pair and names no core
				continue
			}
			manifest := hypercore.DefaultManifest(pair.Public)
			wantHex(t, what+"manifest", manifest.Encode(), core.ManifestEncoded)
			key := manifest.Key()
			wantHex(t, what+"key", key[:], core.CoreKey)
			discovery := key.Discovery()
			wantHex(t, what+"discovery key", discovery[:], core.DiscoveryKey)
			if key.ZBase32() != core.ID {
				t.Errorf("%sid: got %s, want %s", what, key.ZBase32(), core.ID)
			}
		}
	}
	if cores != 72 {
		t.Errorf("%d cores in the vectors, want 72", cores)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantHex(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, unhex(t, want)) {
		t.Errorf("%s: got %x, want %s", what, got, want)
	}
}
