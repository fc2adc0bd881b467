package merkle

// The parts of a request; nil where absent (spec 8.1). At most one of Block
// and Hash may be set.
type (
	// BlockRequest asks for a block and the Nodes levels of its path that the
	// requester cannot check yet. Index is a block index.
	BlockRequest struct{ Index, Nodes uint64 }

	// HashRequest asks for a node and Nodes levels of its path. Index is a flat
	// tree index.
	HashRequest struct{ Index, Nodes uint64 }

	// SeekRequest asks for the nodes that lead to byte Bytes, counted without
	// Padding bytes of each block.
	SeekRequest struct{ Bytes, Padding uint64 }

	// UpgradeRequest asks for proof of the blocks [Start, Start+Length).
	UpgradeRequest struct{ Start, Length uint64 }
)

// Request is what a reader asks (spec 8.1).
type Request struct {
	Fork     uint64
	Block    *BlockRequest
	Hash     *HashRequest
	Seek     *SeekRequest
	Upgrade  *UpgradeRequest
	Manifest bool
}

// The parts of a proof; nil where absent (spec 8.2).
type (
	// BlockProof is a block and the siblings on its path.
	BlockProof struct {
		Index uint64
		Value []byte
		Nodes []Node

		hash *Hash // of Value, where it is known already
	}

	// HashProof is a node, first in Nodes, and the siblings on its path.
	HashProof struct {
		Index uint64
		Nodes []Node
	}

	// SeekProof is the node that a seek ends at and the siblings on its path.
	SeekProof struct {
		Bytes uint64
		Nodes []Node
	}

	// UpgradeProof is what grows a tree of Start blocks to Start+Length
	// (Nodes), from there to the length that is signed (Additional), and the
	// signature.
	UpgradeProof struct {
		Start, Length uint64
		Nodes         []Node
		Additional    []Node
		Signature     []byte
	}
)

// HashValue hashes the block ahead of Check, whose larger part that is, on
// another goroutine perhaps. Value must not change afterwards.
func (b *BlockProof) HashValue() {
	hash := LeafHash(b.Value)
	b.hash = &hash
}

// leaf is the node of the block.
func (b *BlockProof) leaf() Node {
	if b.hash == nil {
		return Leaf(b.Index, b.Value)
	}
	return Node{Index: 2 * b.Index, Size: uint64(len(b.Value)), Hash: *b.hash}
}

// Proof is the answer to a Request.
type Proof struct {
	Fork     uint64
	Block    *BlockProof
	Hash     *HashProof
	Seek     *SeekProof
	Upgrade  *UpgradeProof
	Manifest []byte // encoded; nil where absent
}

// Change is what a checked proof allows to be stored.
type Change struct {
	Nodes     []Node // to store, in the order made
	Block     *BlockProof
	Upgraded  bool
	Tree      Tree // the new tree if Upgraded, else the old one
	Signature []byte
}
