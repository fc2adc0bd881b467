package replicate

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// slowLog is a log whose disk stands still for a while at the first write.
type slowLog struct {
	*stub
	still time.Duration
}

func (l *slowLog) ApplyAll(list []*merkle.Proof) []error {
	time.Sleep(l.still)
	l.still = 0
	return make([]error, len(list))
}

// A peer whose answers wait for our disk is not taken for a slow one.
func TestSlowDiskIsNotThePeersFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Seed: 1})
		log := &slowLog{stub: &stub{key: hypercore.Key{1}, held: make(map[uint64]bool)}, still: silentAfter + stallAfter}
		log.head.Length = 100
		s.do(func(m *machine, now time.Time) {
			m.attach(m.addCore(log.key.Discovery(), log.key, log), &attachment{download: true}, now)
		})
		x, y := rawPipe()
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(t.Context(), Conn{Stream: x, Initiator: true, Peer: "a"}) }()
		p := newRawPeer(t, y, [64]byte{})
		p.openedIDs(1)
		p.open(1, log.key)
		p.send(1, wire.Sync{Length: 100, RemoteLength: 100, Uploading: true})
		p.send(1, wire.Range{Length: 100})
		var asked []wire.Request
		p.wait("all requests", func(got []rawMessage) bool {
			asked = nil
			for _, m := range got {
				if q, err := wire.ParseRequest(m.payload); m.channel != 0 && m.typ == wire.TypeRequest && err == nil && q.Block != nil {
					asked = append(asked, q)
				}
			}
			return len(asked) == 100
		})
		go func() {
			for _, q := range asked {
				p.send(1, wire.Data{ID: q.ID, Proof: merkle.Proof{Block: &merkle.BlockProof{Index: q.Block.Index}}})
			}
		}()
		time.Sleep(silentAfter + stallAfter - time.Second)
		s.do(func(m *machine, now time.Time) {
			a := m.peers[0]
			if a.late != 0 || a.strikes != 0 || a.resting(now) {
				t.Errorf("late %d, strikes %d, resting %v", a.late, a.strikes, a.resting(now))
			}
		})
		s.Close()
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}
