package replicate

// Whoever follows a log to its end wants the first new block as soon as there is
// one. It then comes along with the longer head, a round trip earlier (spec 8.1,
// 13.3).
const (
	followsAt = 8  // a read so close to the end follows the log
	mostTaken = 64 // blocks that are taken along after such a read, until the next
)

// followed notes that block i is read, which was not here. What came along is
// not seen being read, so a log is followed for mostTaken blocks more.
func (c *core) followed(i uint64) {
	if i+followsAt >= c.length {
		c.taken = mostTaken
	}
}

// carry has the first new block come along with the upgrade that r asks for,
// where it will be wanted. It is called when the request is sent: what the peer
// has is often said right behind how long its log is.
func (m *machine) carry(r *request) {
	ch, c := r.ch, r.ch.core
	i := r.upgrade.Start
	switch {
	case i == 0 || c.writable || !c.reads(): // of an empty log not even the manifest is known
	case c.average >= aloneAt || !ch.blocks.has(i) || ch.refused(i) || !ch.peer.room(false):
	case !c.wishes(i) && c.taken == 0:
	default:
		if !c.wishes(i) {
			c.taken--
		}
		r.carries, r.index = true, i
		r.cost += c.average
		ch.peer.inflightSize += c.average
	}
}

// mayBring says whether block i may be in the answer to r.
func (r *request) mayBring(i uint64) bool {
	return (r.kind == forBlock || r.carries) && r.index == i
}
