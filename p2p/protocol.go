package p2p

import (
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Protocol is the libp2p protocol of a replication stream. It also opens the
// handshake hash.
const Protocol = "/multicore/hypercore/1"

const protocolID = protocol.ID(Protocol)

// Deadlines and limits of a replication stream.
const (
	openTimeout      = 15 * time.Second // negotiating a new stream
	handshakeTimeout = 15 * time.Second // both sides' random bytes
	writeTimeout     = 5 * time.Minute  // a peer that takes nothing for so long is gone
	writePiece       = 64 << 10         // bytes of a write that has that long
	higherOpenDelay  = 500 * time.Millisecond
	reopenMin        = 100 * time.Millisecond
	reopenMax        = time.Minute
	reopenGood       = 30 * time.Second // a stream that lived this long starts the backoff anew
	awayFor          = 5 * time.Minute  // how long a peer that misbehaved is refused
	awayMax          = 1024             // how many such peers are remembered
	pingEvery        = time.Minute
	pingTimeout      = 10 * time.Second
	overdueEvery     = time.Second     // peers that may be gone are looked for
	overdueAnswer    = 5 * time.Second // one that does not answer for so long is
)

// bounded is a stream as the swarm wants it: its writes end when the peer stops
// reading, and Close ends what is under way.
type bounded struct {
	network.Stream

	mu     sync.Mutex // so that no Write sets a deadline after Close did
	closed bool
}

// Write gives each piece its time: the whole may be a large block, for a peer
// that reads slowly.
func (b *bounded) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if err = b.deadline(); err != nil {
			break
		}
		var m int
		m, err = b.Stream.Write(p[n:min(len(p), n+writePiece)])
		n += m
	}
	return n, err
}

func (b *bounded) deadline() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return net.ErrClosed
	}
	return b.SetWriteDeadline(time.Now().Add(writeTimeout))
}

func (b *bounded) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	b.SetDeadline(time.Now())
	return b.Stream.Close()
}
