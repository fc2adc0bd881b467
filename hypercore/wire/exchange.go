package wire

import (
	"fmt"

	"multicore/hypercore/compact"
	"multicore/hypercore/merkle"
)

// The parts that a Request or a Data may have.
const (
	partBlock = 1 << iota
	partHash
	partSeek
	partUpgrade
	partManifest
	partPriority // of a Request
)

// Priorities of a Request: a hint for a sender whose answers queue up.
const (
	PriorityNormal = iota
	PriorityHigh   // a user is waiting
	PriorityHighest
)

// Request asks for parts of a proof. It is answered by a Data or a NoData with
// the same ID, unless it was cancelled.
type Request struct {
	ID uint64 // chosen by the requester; 0 is for conflict probes
	merkle.Request
	Priority uint64
}

// Type is TypeRequest.
func (Request) Type() uint64 { return TypeRequest }

// Append adds the payload.
func (m Request) Append(buf []byte) []byte {
	buf = compact.AppendUint(buf, flag(m.Block != nil, partBlock)|flag(m.Hash != nil, partHash)|flag(m.Seek != nil, partSeek)|
		flag(m.Upgrade != nil, partUpgrade)|flag(m.Manifest, partManifest)|flag(m.Priority != 0, partPriority))
	buf = compact.AppendUint(buf, m.ID)
	buf = compact.AppendUint(buf, m.Fork)
	if b := m.Block; b != nil {
		buf = compact.AppendUint(compact.AppendUint(buf, b.Index), b.Nodes)
	}
	if h := m.Hash; h != nil {
		buf = compact.AppendUint(compact.AppendUint(buf, h.Index), h.Nodes)
	}
	if s := m.Seek; s != nil {
		buf = compact.AppendUint(compact.AppendUint(buf, s.Bytes), s.Padding)
	}
	if u := m.Upgrade; u != nil {
		buf = compact.AppendUint(compact.AppendUint(buf, u.Start), u.Length)
	}
	if m.Priority != 0 {
		buf = compact.AppendUint(buf, m.Priority)
	}
	return buf
}

// ParseRequest reads the payload of a Request. Both a block and a hash, or an
// index beyond any tree, are for the prover to refuse.
func ParseRequest(payload []byte) (Request, error) {
	d := compact.NewDecoder(payload)
	flags := d.Uint()
	m := Request{ID: d.Uint()}
	m.Fork = d.Uint()
	if flags&partBlock != 0 {
		m.Block = &merkle.BlockRequest{Index: d.Uint(), Nodes: d.Uint()}
	}
	if flags&partHash != 0 {
		m.Hash = &merkle.HashRequest{Index: d.Uint(), Nodes: d.Uint()}
	}
	if flags&partSeek != 0 {
		m.Seek = &merkle.SeekRequest{Bytes: d.Uint(), Padding: d.Uint()}
	}
	if flags&partUpgrade != 0 {
		m.Upgrade = &merkle.UpgradeRequest{Start: d.Uint(), Length: d.Uint()}
	}
	m.Manifest = flags&partManifest != 0
	if flags&partPriority != 0 {
		m.Priority = d.Uint()
	}
	return finish(m, d, "request")
}

// Cancel takes a request back. It gets no answer, but one may be under way.
type Cancel struct{ ID uint64 }

// Type is TypeCancel.
func (Cancel) Type() uint64 { return TypeCancel }

// Append adds the payload.
func (m Cancel) Append(buf []byte) []byte { return compact.AppendUint(buf, m.ID) }

// ParseCancel reads the payload of a Cancel.
func ParseCancel(payload []byte) (Cancel, error) {
	d := compact.NewDecoder(payload)
	return finish(Cancel{ID: d.Uint()}, d, "cancel")
}

// Data answers a request with a proof.
type Data struct {
	ID uint64 // of the request; 0 for what nobody asked for
	merkle.Proof
}

// Type is TypeData.
func (Data) Type() uint64 { return TypeData }

// Append adds the payload.
func (m Data) Append(buf []byte) []byte {
	buf = compact.AppendUint(buf, flag(m.Block != nil, partBlock)|flag(m.Hash != nil, partHash)|flag(m.Seek != nil, partSeek)|
		flag(m.Upgrade != nil, partUpgrade)|flag(m.Manifest != nil, partManifest))
	buf = compact.AppendUint(buf, m.ID)
	buf = compact.AppendUint(buf, m.Fork)
	if b := m.Block; b != nil {
		buf = compact.AppendBuffer(compact.AppendUint(buf, b.Index), b.Value)
		buf = appendNodes(buf, b.Nodes)
	}
	if h := m.Hash; h != nil {
		buf = appendNodes(compact.AppendUint(buf, h.Index), h.Nodes)
	}
	if s := m.Seek; s != nil {
		buf = appendNodes(compact.AppendUint(buf, s.Bytes), s.Nodes)
	}
	if u := m.Upgrade; u != nil {
		buf = compact.AppendUint(compact.AppendUint(buf, u.Start), u.Length)
		buf = appendNodes(appendNodes(buf, u.Nodes), u.Additional)
		buf = compact.AppendBuffer(buf, u.Signature)
	}
	return append(buf, m.Manifest...)
}

// ParseData reads the payload of a Data. The block's value, the signature and
// the manifest alias it; the manifest may have surplus bytes behind it.
func ParseData(payload []byte) (Data, error) {
	d := compact.NewDecoder(payload)
	flags := d.Uint()
	m := Data{ID: d.Uint()}
	m.Fork = d.Uint()
	if flags&partBlock != 0 {
		m.Block = &merkle.BlockProof{Index: d.Uint(), Value: d.Buffer(), Nodes: parseNodes(d)}
	}
	if flags&partHash != 0 {
		m.Hash = &merkle.HashProof{Index: d.Uint(), Nodes: parseNodes(d)}
	}
	if flags&partSeek != 0 {
		m.Seek = &merkle.SeekProof{Bytes: d.Uint(), Nodes: parseNodes(d)}
	}
	if flags&partUpgrade != 0 {
		m.Upgrade = &merkle.UpgradeProof{
			Start:      d.Uint(),
			Length:     d.Uint(),
			Nodes:      parseNodes(d),
			Additional: parseNodes(d),
			Signature:  d.OptionalBuffer(),
		}
	}
	if flags&partManifest != 0 {
		m.Manifest = d.Raw()
	}
	return finish(m, d, "data")
}

// Reasons of a NoData.
const (
	ReasonNone         = iota // not given
	ReasonNotAvailable        // the block is not held, or the fork is another
	ReasonInvalid             // no such request can be answered
)

// NoData answers a request that cannot be fulfilled.
type NoData struct {
	ID     uint64
	Reason uint64
}

// noDataReason is the flag for a Reason.
const noDataReason = 1

// Type is TypeNoData.
func (NoData) Type() uint64 { return TypeNoData }

// Append adds the payload.
func (m NoData) Append(buf []byte) []byte {
	buf = compact.AppendUint(buf, m.ID)
	buf = compact.AppendUint(buf, flag(m.Reason != ReasonNone, noDataReason))
	if m.Reason != ReasonNone {
		buf = compact.AppendUint(buf, m.Reason)
	}
	return buf
}

// ParseNoData reads the payload of a NoData.
func ParseNoData(payload []byte) (NoData, error) {
	d := compact.NewDecoder(payload)
	m := NoData{ID: d.Uint()}
	if d.Len() > 0 && d.Uint()&noDataReason != 0 { // older peers end after the id
		m.Reason = d.Uint()
	}
	return finish(m, d, "noData")
}

// minNodeSize is the smallest encoding of a node.
const minNodeSize = 1 + 1 + 32

func appendNodes(buf []byte, nodes []merkle.Node) []byte {
	buf = compact.AppendUint(buf, uint64(len(nodes)))
	for _, n := range nodes {
		buf = compact.AppendUint(buf, n.Index)
		buf = compact.AppendUint(buf, n.Size)
		buf = compact.AppendFixed32(buf, n.Hash)
	}
	return buf
}

// parseNodes reads a list of nodes; nil where it is empty.
func parseNodes(d *compact.Decoder) []merkle.Node {
	count := d.Count(minNodeSize)
	if count > MaxNodes {
		d.Fail(fmt.Errorf("%w: %d nodes, at most %d", compact.ErrRange, count, MaxNodes))
	}
	if count == 0 || d.Err() != nil {
		return nil
	}
	nodes := make([]merkle.Node, count)
	for i := range nodes {
		nodes[i] = merkle.Node{Index: d.Uint(), Size: d.Uint(), Hash: d.Fixed32()}
	}
	return nodes
}
