package merkle

import "errors"

// MaxSize is the largest index, length or byte count that JavaScript peers can
// represent; larger numbers are refused everywhere.
const MaxSize = 1<<53 - 1

// Hash is a BLAKE2b-256 hash.
type Hash [32]byte

// Node is one node of the tree. The zero Hash never belongs to a stored node.
type Node struct {
	Index uint64
	Size  uint64
	Hash  Hash
}

// NodeReader reads stored nodes. Node reports false where none is stored.
type NodeReader interface {
	Node(index uint64) (Node, bool, error)
}

// Tree is a snapshot of a log's tree: the roots of a length, and its fork.
type Tree struct {
	Fork   uint64
	Length uint64
	Roots  []Node
}

func (t Tree) ByteLength() uint64 { panic("skeleton") }
func (t Tree) Hash() Hash         { panic("skeleton") }

func Depth(n uint64) uint                { panic("skeleton") }
func Offset(n uint64) uint64             { panic("skeleton") }
func Parent(n uint64) uint64             { panic("skeleton") }
func Sibling(n uint64) uint64            { panic("skeleton") }
func LeftChild(n uint64) (uint64, bool)  { panic("skeleton") }
func RightChild(n uint64) (uint64, bool) { panic("skeleton") }
func Span(n uint64) (lo, hi uint64)      { panic("skeleton") } // first and last leaf *index*, both even
func Leaves(n uint64) uint64             { panic("skeleton") }

// Chunks appends nothing for from >= to (spec 6).
func Chunks(from, to uint64) []uint64 { panic("skeleton") }

func LeafHash(block []byte) Hash         { panic("skeleton") }
func Leaf(i uint64, block []byte) Node   { panic("skeleton") }
func ParentNode(a, b Node) (Node, error) { panic("skeleton") } // error: sizes overflow MaxSize
func TreeHash(roots []Node) Hash         { panic("skeleton") }

// Batch grows a tree by blocks without touching storage.
type Batch struct{}

func NewBatch(t Tree) *Batch               { panic("skeleton") }
func (b *Batch) Append(block []byte) error { panic("skeleton") }
func (b *Batch) Nodes() []Node             { panic("skeleton") } // new nodes in the order made
func (b *Batch) Tree() Tree                { panic("skeleton") }

// The parts of a request and of a proof; nil where absent (spec 8, 12).
type BlockRequest struct{ Index, Nodes uint64 } // Index: block index
type HashRequest struct{ Index, Nodes uint64 }  // Index: flat tree index
type SeekRequest struct{ Bytes, Padding uint64 }
type UpgradeRequest struct{ Start, Length uint64 }

type Request struct {
	Fork     uint64
	Block    *BlockRequest
	Hash     *HashRequest
	Seek     *SeekRequest
	Upgrade  *UpgradeRequest
	Manifest bool
}

type BlockProof struct {
	Index uint64
	Value []byte
	Nodes []Node
}
type HashProof struct {
	Index uint64
	Nodes []Node
}
type SeekProof struct {
	Bytes uint64
	Nodes []Node
}
type UpgradeProof struct {
	Start, Length uint64
	Nodes         []Node
	Additional    []Node
	Signature     []byte
}
type Proof struct {
	Fork     uint64
	Block    *BlockProof
	Hash     *HashProof
	Seek     *SeekProof
	Upgrade  *UpgradeProof
	Manifest []byte // encoded; nil where absent
}

// Prove answers a request from the tree t (spec 8.2). It fills everything but
// Block.Value, Upgrade.Signature and Manifest, which the caller holds.
// ErrInvalidRequest for what no prover could answer, ErrMissingNode for what this one cannot.
func Prove(t Tree, nodes NodeReader, r Request) (*Proof, error) { panic("skeleton") }

// Change is what a checked proof allows to be stored.
type Change struct {
	Nodes     []Node // to store, in the order made
	Block     *BlockProof
	Upgraded  bool
	Tree      Tree // the new roots if Upgraded, else the old ones
	Signature []byte
}

// Check verifies p against t (spec 8.3) and changes nothing. signed is called once for an upgrade with the
// new tree and must return nil only where the signature holds for it. ErrBadProof (wrapped) where p is wrong.
func Check(t Tree, nodes NodeReader, p *Proof, signed func(Tree) error) (*Change, error) {
	panic("skeleton")
}

// Missing counts the nodes above node index that a requester does not hold (spec 8.1; the `nodes` field),
// for index = 2i for a block, or any flat index for a hash request.
func Missing(t Tree, nodes NodeReader, index uint64) (uint64, error) { panic("skeleton") }

// ByteOffset is the number of bytes before node index, from stored nodes; ErrMissingNode with what to ask for.
func ByteOffset(t Tree, nodes NodeReader, index uint64) (uint64, error) { panic("skeleton") }

// Find walks to the leaf that holds byte `bytes` as far as stored nodes allow. Where found is false, at is the
// smallest stored subtree known to hold it and offset the byte offset of that subtree (what a seek request needs).
func Find(t Tree, nodes NodeReader, bytes uint64) (at Node, offset uint64, found bool, err error) {
	panic("skeleton")
}

var (
	ErrBadProof       = errors.New("bad proof")
	ErrInvalidRequest = errors.New("invalid request")
	ErrMissingNode    = errors.New("missing node")
)
