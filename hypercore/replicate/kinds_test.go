package replicate

import (
	"crypto/ed25519"
	"fmt"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/compact"
	"multicore/hypercore/merkle"
)

// kinds are manifests with one signer, of each version, and a legacy core.
func kinds(pair hypercore.KeyPair) map[string]*hypercore.Manifest {
	version := func(v uint64, set func(*hypercore.Manifest)) *hypercore.Manifest {
		m := hypercore.DefaultManifest(pair.Public)
		m.Version = v
		set(m)
		return m
	}
	return map[string]*hypercore.Manifest{
		"legacy":                  hypercore.LegacyManifest(hypercore.Key(pair.Public)),
		"version 0":               version(0, func(*hypercore.Manifest) {}),
		"version 0, patches":      version(0, func(m *hypercore.Manifest) { m.AllowPatch = true }),
		"version 1":               version(1, func(*hypercore.Manifest) {}),
		"version 1, patches":      version(1, func(m *hypercore.Manifest) { m.AllowPatch = true }),
		"version 2, linked":       version(2, func(m *hypercore.Manifest) { m.Linked = [][32]byte{{1}, {2}} }),
		"version 2, user data":    version(2, func(m *hypercore.Manifest) { m.UserData = []byte("about") }),
		"version 3":               version(3, func(*hypercore.Manifest) {}),
		"version 1, two may sign": version(1, func(m *hypercore.Manifest) { m.Signers = append(m.Signers, hypercore.Signer{PublicKey: [32]byte{9}}) }),
	}
}

// TestManifestKinds: cores of each kind grow, are truncated and grow again, and a
// reader that knows their key alone follows, and serves another.
func TestManifestKinds(t *testing.T) {
	pair := hypercore.KeyPairFromSeed([32]byte{3})
	for name, m := range kinds(pair) {
		t.Run(name, func(t *testing.T) {
			w, r, r2 := newNode(t, "writer"), newNode(t, "reader"), newNode(t, "second reader")
			core := w.open(hypercore.Options{Key: m.Key(), KeyPair: &pair, Manifest: m})
			w.add(core, numbered(20)...)
			w.swarm.Attach(core, AttachOptions{})
			c, _ := r.replica(core.Key(), AttachOptions{Download: true})
			c2, _ := r2.replica(core.Key(), AttachOptions{Download: true})
			connect(t, w, r)
			connect(t, r, r2)
			same(t, c, core)
			same(t, c2, core)
			w.add(core, numbered(3)...)
			truncate(t, core, 17)
			w.add(core, anew(17, 30)...)
			same(t, c, core)
			same(t, c2, core)
			for _, x := range []*hypercore.Core{c, c2} {
				if m.Legacy != (x.Manifest() == nil) || !m.Legacy && x.Manifest().Key() != core.Key() {
					t.Errorf("manifest %+v", x.Manifest())
				}
			}
		})
	}
}

// council signs a core together: a log in memory, and the signers' keys.
type council struct {
	t        testing.TB
	manifest *hypercore.Manifest
	pairs    []hypercore.KeyPair
	patch    bool // the second of them signs a tree that is longer by two blocks

	fork   uint64
	blocks [][]byte
}

// tree gives the tree of the first n blocks and all nodes.
func (k *council) tree(n int) (merkle.Tree, nodeMap) {
	b := merkle.NewBatch(merkle.Tree{Fork: k.fork})
	for _, block := range k.blocks[:n] {
		if err := b.Append(block); err != nil {
			k.t.Fatal(err)
		}
	}
	nodes := nodeMap{}
	for _, n := range b.Nodes() {
		nodes[n.Index] = n
	}
	return b.Tree(), nodes
}

type nodeMap map[uint64]merkle.Node

func (m nodeMap) Node(index uint64) (merkle.Node, bool, error) {
	n, ok := m[index]
	return n, ok, nil
}

// sign makes the blob of a length by two signers, the third and the second.
func (k *council) sign(n int) []byte {
	tree, _ := k.tree(n)
	blob := compact.AppendUint(nil, 2)
	var patched []merkle.Node
	for at, i := range []int{2, 1} {
		signed, patch := tree, uint64(0)
		if k.patch && at == 1 {
			var nodes nodeMap
			signed, nodes = k.tree(n + 2)
			patch = 2
			for _, index := range merkle.Chunks(uint64(n), uint64(n)+2) {
				patched = append(patched, nodes[index])
			}
		}
		signature := ed25519.Sign(k.pairs[i].Secret, k.manifest.Signable(i, signed))
		if k.manifest.Version == 0 {
			blob = compact.AppendUint(blob, min(patch, 1))
		}
		blob = compact.AppendUint(blob, uint64(i))
		blob = append(blob, signature...)
		switch {
		case k.manifest.Version > 0:
			blob = compact.AppendUint(blob, patch)
		case patch > 0:
			blob = compact.AppendUint(blob, uint64(n))
			blob = compact.AppendUint(blob, patch)
			blob = compact.AppendUint(blob, uint64(len(patched)))
			for place := range patched {
				blob = compact.AppendUint(blob, uint64(place))
			}
		}
	}
	blob = compact.AppendUint(blob, uint64(len(patched)))
	for _, n := range patched {
		blob = compact.AppendUint(blob, n.Index)
		blob = compact.AppendUint(blob, n.Size)
		blob = compact.AppendFixed32(blob, n.Hash)
	}
	return blob
}

// bring takes the first n blocks of the log into a core as a peer would.
func (k *council) bring(c *hypercore.Core, n int) {
	k.t.Helper()
	tree, nodes := k.tree(n)
	have := c.Head()
	start := have.Length
	if have.Fork < k.fork {
		start = 0
	}
	p, err := merkle.Prove(tree, nodes, merkle.Request{Fork: k.fork, Upgrade: &merkle.UpgradeRequest{Start: start, Length: uint64(n) - start}})
	if err != nil {
		k.t.Fatal(err)
	}
	p.Upgrade.Signature, p.Manifest = k.sign(n), k.manifest.Encode()
	if have.Fork < k.fork {
		var g *hypercore.Reorganisation
		if g, err = c.Reorganise(p); err == nil {
			err = g.Install()
		}
	} else {
		err = c.Apply(p)
	}
	for i := uint64(0); err == nil && i < uint64(n); i++ {
		if c.Has(i) {
			continue
		}
		var missing uint64
		if missing, err = c.Missing(2 * i); err == nil {
			if p, err = merkle.Prove(tree, nodes, merkle.Request{Fork: k.fork, Block: &merkle.BlockRequest{Index: i, Nodes: missing}}); err == nil {
				p.Block.Value = k.blocks[i]
				err = c.Apply(p)
			}
		}
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

// TestManySigners: a core that takes two of three signers is read, grows, and is
// truncated, from one who has it, with manifests of each version.
func TestManySigners(t *testing.T) {
	for version := range uint64(4) {
		for _, patch := range []bool{false, true} {
			t.Run(fmt.Sprintf("version %d, patch %v", version, patch), func(t *testing.T) {
				k := &council{t: t, patch: patch, blocks: numbered(40),
					manifest: &hypercore.Manifest{Version: version, Quorum: 2, AllowPatch: patch}}
				for i := range byte(3) {
					pair := hypercore.KeyPairFromSeed([32]byte{40 + i})
					k.pairs = append(k.pairs, pair)
					k.manifest.Signers = append(k.manifest.Signers, hypercore.Signer{Namespace: hypercore.DefaultNamespace, PublicKey: [32]byte(pair.Public)})
				}
				s, r := newNode(t, "source"), newNode(t, "reader")
				source, _ := s.replica(k.manifest.Key(), AttachOptions{})
				c, _ := r.replica(k.manifest.Key(), AttachOptions{Download: true})
				connect(t, s, r)
				k.bring(source, 11)
				same(t, c, source)
				k.bring(source, 21)
				same(t, c, source)
				k.fork, k.blocks = 1, append(numbered(13), anew(13, 40)...)
				k.bring(source, 19)
				same(t, c, source)
				if c.Info().Fork != 1 || c.Manifest() == nil || c.Manifest().Quorum != 2 {
					t.Errorf("%+v, %+v", c.Info(), c.Manifest())
				}
			})
		}
	}
}
