package p2p

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestIdentityKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity")
	first, err := loadIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != 0o600 || fi.Size() != identitySize {
		t.Errorf("file has mode %04o and %d bytes, want 0600 and %d", fi.Mode().Perm(), fi.Size(), identitySize)
	}
	again, err := loadIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Equals(first) {
		t.Error("another key after the restart")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestIdentityFormat: a seed gives the id that libp2p derives from the key.
func TestIdentityFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity")
	// RFC 8032, section 7.1, test 1.
	const seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
	const public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
	if err := os.WriteFile(path, []byte(seed+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := loadIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString([]byte(id)); got != "002408011220"+public {
		t.Errorf("id %s, want the identity multihash of %s", got, public)
	}
}

func TestIdentityRefused(t *testing.T) {
	for _, tc := range []struct {
		desc, content string
		mode          os.FileMode
		want          string
	}{
		{"empty", "", 0o600, "damaged: 0 characters, want 64"},
		{"short", strings.Repeat("a", 63) + "\n", 0o600, "damaged: 63 characters, want 64"},
		{"long", strings.Repeat("a", 1000), 0o600, "damaged"},
		{"not hex", strings.Repeat("g", 64) + "\n", 0o600, "damaged: not hex"},
		{"open to others", strings.Repeat("a", 64) + "\n", 0o644, "chmod 600"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "identity")
			if err := os.WriteFile(path, []byte(tc.content), tc.mode); err != nil {
				t.Fatal(err)
			}
			_, err := loadIdentity(path)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, tc.want)
			}
			if b, _ := os.ReadFile(path); string(b) != tc.content {
				t.Error("the file was changed")
			}
		})
	}
}
