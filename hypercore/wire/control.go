package wire

import "multicore/hypercore/compact"

// ControlChannel carries the messages that open and close channels.
const ControlChannel = 0

// Types of the messages of the control channel. Others are to be ignored.
const (
	TypeBatch = iota
	TypeOpen
	TypeReject
	TypeClose
)

// Protocol is the name under which cores are exchanged. The id of a channel is
// the discovery key, and the payload of its open a Handshake (spec 12).
const Protocol = "hypercore/alpha"

// Open opens a channel. It is fully open once both sides have sent one with the
// same protocol and id.
type Open struct {
	Channel   uint64 // the sender's own id
	Protocol  string
	ID        []byte // nil for none
	Handshake []byte // encoded; its form is the protocol's matter
}

// Type is TypeOpen.
func (Open) Type() uint64 { return TypeOpen }

// Append adds the payload.
func (m Open) Append(buf []byte) []byte {
	buf = compact.AppendUint(buf, m.Channel)
	buf = compact.AppendText(buf, m.Protocol)
	buf = compact.AppendBuffer(buf, m.ID)
	return append(buf, m.Handshake...)
}

// ParseOpen reads the payload of an Open.
func ParseOpen(payload []byte) (Open, error) {
	d := compact.NewDecoder(payload)
	m := Open{Channel: d.Uint(), Protocol: d.Text(), ID: d.OptionalBuffer(), Handshake: d.Raw()}
	return finish(m, d, "open")
}

// Reject answers an Open that leads nowhere.
type Reject struct {
	Channel uint64 // the id in that Open
}

// Type is TypeReject.
func (Reject) Type() uint64 { return TypeReject }

// Append adds the payload.
func (m Reject) Append(buf []byte) []byte { return compact.AppendUint(buf, m.Channel) }

// ParseReject reads the payload of a Reject.
func ParseReject(payload []byte) (Reject, error) {
	d := compact.NewDecoder(payload)
	return finish(Reject{Channel: d.Uint()}, d, "reject")
}

// Close ends a channel.
type Close struct {
	Channel uint64 // the sender's own id
}

// Type is TypeClose.
func (Close) Type() uint64 { return TypeClose }

// Append adds the payload.
func (m Close) Append(buf []byte) []byte { return compact.AppendUint(buf, m.Channel) }

// ParseClose reads the payload of a Close.
func ParseClose(payload []byte) (Close, error) {
	d := compact.NewDecoder(payload)
	return finish(Close{Channel: d.Uint()}, d, "close")
}

// Handshake is what an Open of Protocol carries.
type Handshake struct {
	Seeks      bool     // seek requests are answered
	Capability [32]byte // proof that the sender knows the core key
}

// handshakeSeeks is the flag for Seeks.
const handshakeSeeks = 1

// Append adds the encoded handshake.
func (h Handshake) Append(buf []byte) []byte {
	buf = compact.AppendUint(buf, flag(h.Seeks, handshakeSeeks))
	return compact.AppendFixed32(buf, h.Capability)
}

// ParseHandshake reads Open.Handshake.
func ParseHandshake(b []byte) (Handshake, error) {
	d := compact.NewDecoder(b)
	h := Handshake{Seeks: d.Uint()&handshakeSeeks != 0, Capability: d.Fixed32()}
	return finish(h, d, "handshake")
}
