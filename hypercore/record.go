package hypercore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"multicore/hypercore/compact"
	"multicore/hypercore/merkle"
	"multicore/hypercore/storage"
)

// Buckets of the store. Keys are discovery keys; a bitfield page's key is
// followed by its number, 8 bytes big-endian.
const (
	coreBucket     = "core"
	headBucket     = "head"
	bitfieldBucket = "bitfield"
	conflictBucket = "conflict"
)

// recordVersion is the newest version of the records. What an earlier one can
// tell is written as that, so that an earlier program reads it.
const (
	recordVersion = 2
	firstVersion  = 1
)

// errRecord: bytes are not a record. ErrNewer (storage) for a later version.
var errRecord = errors.New("invalid record")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// coreRecord is what stays the same about a core, or nearly so:
//
//	uint version, uint flags (1 own, 2 manifest, 4 held, 8 encrypted), fixed32 key,
//	if 2: buffer manifest
//	if 4: uint unheld
//	u32 CRC-32C of what precedes
type coreRecord struct {
	key      Key
	own      bool // written here, so that what lies beyond the head is ours
	manifest []byte
	held     bool
	unheld   uint64 // blocks that may be signed while held

	encrypted bool
}

const (
	coreOwn = 1 << iota
	coreManifest
	coreHeld
	coreEncrypted
)

func (r *coreRecord) append(buf []byte) []byte {
	start := len(buf)
	version := uint64(firstVersion)
	if r.encrypted {
		version = recordVersion
	}
	buf = compact.AppendUint(buf, version)
	buf = compact.AppendUint(buf, flag(r.own, coreOwn)|flag(r.manifest != nil, coreManifest)|
		flag(r.held, coreHeld)|flag(r.encrypted, coreEncrypted))
	buf = compact.AppendFixed32(buf, r.key)
	if r.manifest != nil {
		buf = compact.AppendBuffer(buf, r.manifest)
	}
	if r.held {
		buf = compact.AppendUint(buf, r.unheld)
	}
	return appendSum(buf, start)
}

func parseCoreRecord(b []byte) (*coreRecord, error) {
	d, err := openRecord(b)
	if err != nil {
		return nil, err
	}
	flags := d.Uint()
	r := &coreRecord{own: flags&coreOwn != 0, held: flags&coreHeld != 0, encrypted: flags&coreEncrypted != 0, key: d.Fixed32()}
	if flags&coreManifest != 0 {
		r.manifest = append([]byte{}, d.Buffer()...)
	}
	if r.held {
		r.unheld = d.Uint()
	}
	return r, closeRecord(d)
}

// treeRecord is a tree by its length, size and hash; its roots are stored as
// nodes.
type treeRecord struct {
	length, size uint64
	hash         merkle.Hash
}

func recordTree(t merkle.Tree) treeRecord {
	return treeRecord{length: t.Length, size: t.ByteLength(), hash: t.Hash()}
}

func (r *treeRecord) append(buf []byte) []byte {
	buf = compact.AppendUint(buf, r.length)
	buf = compact.AppendUint(buf, r.size)
	return compact.AppendFixed32(buf, r.hash)
}

func decodeTree(d *compact.Decoder) treeRecord {
	r := treeRecord{length: d.Uint(), size: d.Uint(), hash: d.Fixed32()}
	if r.length > merkle.MaxLength || r.size > merkle.MaxSize {
		d.Fail(fmt.Errorf("length %d of %d bytes is out of range", r.length, r.size))
	}
	return r
}

// headRecord is the durable state of a core:
//
//	uint version, uint flags (1 signature, 2 tail, 4 move, 8 cut, 16 keep),
//	uint fork, tree, uint contiguous, uint grown (microseconds since 1970)
//	if 1: buffer signature
//	if 2: tree tail
//	if 4: move
//	if 16: uint length, uint byte length     (version 2)
//	u32 CRC-32C of what precedes
//
// where tree is uint length, uint byte length, fixed32 tree hash.
type headRecord struct {
	fork       uint64
	tree       treeRecord // what peers see
	contiguous uint64
	grown      time.Time // of the last growth, zero for none
	signature  []byte
	tail       *treeRecord // own: durable, but not signed while held
	move       *moveRecord
	cut        bool // what lies beyond the head is to be cut, whatever it is
}

const (
	headSigned = 1 << iota
	headTail
	headMove
	headCut
	headKeep
)

func (r *headRecord) append(buf []byte) []byte {
	start := len(buf)
	cuts := r.move != nil && r.move.keep != nil
	version := uint64(firstVersion)
	if cuts {
		version = 2
	}
	buf = compact.AppendUint(buf, version)
	buf = compact.AppendUint(buf, flag(len(r.signature) > 0, headSigned)|flag(r.tail != nil, headTail)|
		flag(r.move != nil, headMove)|flag(r.cut, headCut)|flag(cuts, headKeep))
	buf = compact.AppendUint(buf, r.fork)
	buf = r.tree.append(buf)
	buf = compact.AppendUint(buf, r.contiguous)
	buf = compact.AppendUint(buf, micros(r.grown))
	if len(r.signature) > 0 {
		buf = compact.AppendBuffer(buf, r.signature)
	}
	if r.tail != nil {
		buf = r.tail.append(buf)
	}
	if r.move != nil {
		buf = r.move.append(buf)
	}
	if cuts {
		buf = compact.AppendUint(buf, r.move.keep.length)
		buf = compact.AppendUint(buf, r.move.keep.size)
	}
	return appendSum(buf, start)
}

func parseHeadRecord(b []byte) (*headRecord, error) {
	d, err := openRecord(b)
	if err != nil {
		return nil, err
	}
	flags := d.Uint()
	r := &headRecord{cut: flags&headCut != 0, fork: d.Uint(), tree: decodeTree(d), contiguous: d.Uint(), grown: fromMicros(d.Uint())}
	if flags&headSigned != 0 {
		r.signature = append([]byte{}, d.Buffer()...)
	}
	if flags&headTail != 0 {
		t := decodeTree(d)
		r.tail = &t
	}
	if flags&headMove != 0 {
		r.move = decodeMove(d)
	}
	if flags&headKeep != 0 {
		keep := &prefix{length: d.Uint(), size: d.Uint()}
		if r.move == nil || keep.length > merkle.MaxLength || keep.size > merkle.MaxSize {
			d.Fail(fmt.Errorf("%d blocks of %d bytes stay", keep.length, keep.size))
		} else {
			r.move.keep = keep
		}
	}
	return r, closeRecord(d)
}

// moveRecord is an adopted head behind which an unsigned tail is being moved.
// Until that is done the record's own head stays what it was.
//
//	uint fork, tree, buffer signature, array nodes, uint count
//
// where a node is uint index, uint size, fixed32 hash.
type moveRecord struct {
	fork      uint64
	tree      treeRecord
	signature []byte
	nodes     []merkle.Node // that the adopted head brought
	count     uint64        // blocks of the tail
	keep      *prefix       // of the log that stays; nil: all of the record's own head
}

// prefix is the beginning of a log: blocks, and bytes in them.
type prefix struct{ length, size uint64 }

func (r *moveRecord) append(buf []byte) []byte {
	buf = compact.AppendUint(buf, r.fork)
	buf = r.tree.append(buf)
	buf = compact.AppendBuffer(buf, r.signature)
	buf = compact.AppendUint(buf, uint64(len(r.nodes)))
	for _, n := range r.nodes {
		buf = compact.AppendUint(buf, n.Index)
		buf = compact.AppendUint(buf, n.Size)
		buf = compact.AppendFixed32(buf, n.Hash)
	}
	return compact.AppendUint(buf, r.count)
}

func decodeMove(d *compact.Decoder) *moveRecord {
	r := &moveRecord{fork: d.Uint(), tree: decodeTree(d)}
	r.signature = append([]byte{}, d.Buffer()...)
	r.nodes = make([]merkle.Node, d.Count(nodeSize))
	for i := range r.nodes {
		r.nodes[i] = merkle.Node{Index: d.Uint(), Size: d.Uint(), Hash: d.Fixed32()}
	}
	r.count = d.Uint()
	return r
}

// openRecord checks the sum and the version of a record and reads on behind it.
func openRecord(b []byte) (*compact.Decoder, error) {
	// The version comes first: a later one may have another sum.
	if version := compact.NewDecoder(b).Uint(); version > recordVersion {
		return nil, fmt.Errorf("record of version %d: %w", version, storage.ErrNewer)
	}
	n := len(b) - crc32.Size
	if n < 0 || crc32.Checksum(b[:n], castagnoli) != binary.LittleEndian.Uint32(b[n:]) {
		return nil, fmt.Errorf("%w: %d bytes with a wrong checksum", errRecord, len(b))
	}
	d := compact.NewDecoder(b[:n])
	if version := d.Uint(); version < firstVersion {
		return nil, fmt.Errorf("%w: version %d, want %d to %d", errRecord, version, firstVersion, recordVersion)
	}
	return d, nil
}

func closeRecord(d *compact.Decoder) error {
	if d.Err() == nil && d.Len() > 0 {
		d.Fail(fmt.Errorf("%d surplus bytes", d.Len()))
	}
	if err := d.Err(); err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	return nil
}

// appendSum adds the checksum of buf[start:].
func appendSum(buf []byte, start int) []byte {
	return binary.LittleEndian.AppendUint32(buf, crc32.Checksum(buf[start:], castagnoli))
}

func micros(t time.Time) uint64 {
	if t.IsZero() || t.UnixMicro() < 0 {
		return 0
	}
	return uint64(t.UnixMicro())
}

func fromMicros(n uint64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(n))
}

// pageKey is the key of a bitfield page.
func pageKey(id DiscoveryKey, page uint64) []byte {
	return binary.BigEndian.AppendUint64(id[:len(id):len(id)], page)
}
