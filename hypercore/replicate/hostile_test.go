package replicate

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"multicore/hypercore"
	"multicore/hypercore/merkle"
	"multicore/hypercore/wire"
)

// A peer that knows all the discovery keys but no core key learns nothing: the
// same frames answer core-2, core-3 and an unknown key.
func TestHostileOpens(t *testing.T) {
	w := newNode(t, "writer")
	main := w.own("main", []byte("keys"))
	second, third := w.own("second", []byte("secret")), w.own("third", []byte("secret"))
	after := AttachOptions{After: []hypercore.DiscoveryKey{main.DiscoveryKey()}}
	w.swarm.Attach(main, AttachOptions{})
	w.swarm.Attach(second, after)
	// third is only in the Directory.

	unknown := hypercore.Key{1}
	recorded := [64]byte{9} // the handshake hash of another session
	attempts := map[string]func(key hypercore.Key) [32]byte{
		"no capability": func(hypercore.Key) [32]byte { return [32]byte{} },
		"wrong key":     func(hypercore.Key) [32]byte { return hypercore.Capability(hypercore.Key{7}, make([]byte, 64), false) },
		"discovery key": func(k hypercore.Key) [32]byte {
			return hypercore.Capability(hypercore.Key(k.Discovery()), make([]byte, 64), false)
		},
		"recorded": func(k hypercore.Key) [32]byte { return hypercore.Capability(k, recorded[:], false) },
		"our own":  func(k hypercore.Key) [32]byte { return hypercore.Capability(k, make([]byte, 64), true) },
	}
	for name, capability := range attempts {
		t.Run(name, func(t *testing.T) {
			var answers [][]rawMessage
			for _, key := range []hypercore.Key{unknown, main.Key(), second.Key(), third.Key()} {
				x, y := rawPipe()
				go w.swarm.Serve(t.Context(), Conn{Stream: x, Initiator: true, Peer: "raw"})
				p := newRawPeer(t, y, [64]byte{})
				p.openedIDs(1)
				if err := p.openWith(1, key.Discovery(), capability(key)); err != nil {
					t.Fatal(err)
				}
				// Whatever is sent on the channel that was refused gets nothing.
				p.send(1, wire.Sync{Uploading: true, Downloading: true})
				p.send(1, wire.Request{ID: 1, Request: merkle.Request{Block: &merkle.BlockRequest{}}})
				p.send(1, wire.Want{Length: 32})
				p.openWith(1, [32]byte{2}, [32]byte{}) // a second refusal shows that all of that was seen
				p.wait("refusals", func(got []rawMessage) bool {
					n := 0
					for _, m := range got {
						if m.channel == 0 && m.typ == wire.TypeReject {
							n++
						}
					}
					return n == 2
				})
				p.mu.Lock()
				if len(p.got) > 0 && p.got[0].typ == wire.TypeOpen { // main's own open
					p.got = p.got[1:]
				}
				answers = append(answers, slices.Clone(p.got))
				p.mu.Unlock()
				y.Close()
			}
			for i, a := range answers {
				if !slices.EqualFunc(a, answers[0], func(a, b rawMessage) bool {
					return a.channel == b.channel && a.typ == b.typ && string(a.payload) == string(b.payload)
				}) {
					t.Errorf("key %d: answers %v, want those of an unknown key, %v", i, a, answers[0])
				}
				if len(a) != 2 {
					t.Errorf("key %d: %d messages, want two refusals and nothing else: %v", i, len(a), a)
				}
			}
		})
	}
}

// Each of these is the peer's fault: it is dropped with one line in the log,
// nothing is stored, and others go on.
func TestHostileFrames(t *testing.T) {
	data := func(d merkle.Proof) func(*rawPeer) {
		return func(p *rawPeer) { p.send(1, wire.Data{ID: 1, Proof: d}) }
	}
	for name, attack := range map[string]func(*rawPeer){
		"oversized frame":   func(p *rawPeer) { p.stream.Write([]byte{0xff, 0xff, 0xff}) },
		"nonsense":          func(p *rawPeer) { p.frame([]byte{1, 3, 0xff}) },
		"broken batch":      func(p *rawPeer) { p.frame([]byte{0, 0, 1, 40, 1, 2}) },
		"broken open":       func(p *rawPeer) { p.frame([]byte{0, 1}) },
		"skipped id":        func(p *rawPeer) { p.openWith(77, [32]byte{}, [32]byte{}) },
		"id 0":              func(p *rawPeer) { p.openWith(0, [32]byte{}, [32]byte{}) },
		"id in use":         func(p *rawPeer) { p.openWith(1, [32]byte{}, [32]byte{}) },
		"huge array":        func(p *rawPeer) { p.frame([]byte{1, 7, 0, 0xfe, 0xff, 0xff, 0xff, 0x7f}) },
		"unasked data":      data(merkle.Proof{Block: &merkle.BlockProof{Value: []byte("x")}}),
		"unasked noData":    func(p *rawPeer) { p.send(1, wire.NoData{ID: 900, Reason: 1}) },
		"many pushes":       func(p *rawPeer) { flood(p, func(uint64) { p.send(1, wire.Data{}) }) },
		"endless opens":     func(p *rawPeer) { flood(p, func(i uint64) { p.openWith(2+i%2, [32]byte{byte(i)}, [32]byte{}) }) },
		"invalid requests":  func(p *rawPeer) { flood(p, func(i uint64) { p.send(1, wire.Request{ID: i, Request: tooFar}) }) },
		"unread answers":    nil,
		"too many requests": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w, r := newNode(t, "writer"), newNode(t, "reader")
			core := w.own("core", numbered(50)...)
			w.swarm.Attach(core, AttachOptions{})
			replica, _ := r.replica(core.Key(), AttachOptions{})
			connect(t, w, r)

			x, y := rawPipe()
			ended := make(chan error, 1)
			go func() {
				ended <- w.swarm.Serve(t.Context(), Conn{Stream: x, Initiator: true, Peer: "hostile"})
			}()
			switch name {
			case "unread answers", "too many requests":
				p := &rawPeer{t: t, stream: y}
				go func() {
					p.open(1, core.Key())
					flood(p, func(i uint64) {
						if name == "unread answers" {
							p.send(1, wire.Request{ID: i, Request: merkle.Request{Fork: 5}})
						} else {
							p.send(1, wire.Request{ID: i, Request: merkle.Request{Block: &merkle.BlockRequest{}}})
						}
					})
				}()
			default:
				p := newRawPeer(t, y, [64]byte{})
				if err := p.open(1, core.Key()); err != nil {
					t.Fatal(err)
				}
				p.wait("our sync", func(got []rawMessage) bool { return len(got) >= 2 })
				go attack(p)
			}
			select {
			case err := <-ended:
				if !errors.Is(err, ErrMisbehaved) {
					t.Errorf("ended with %v, want ErrMisbehaved", err)
				}
			case <-deadline(t).Done():
				t.Fatal("the peer was not dropped")
			}
			y.Close()
			if n := w.logged.count("peer dropped"); n != 1 {
				t.Errorf("%d lines in the log, want 1", n)
			}
			if i := core.Info(); i.Length != 50 {
				t.Errorf("core changed: %+v", i)
			}
			get(t, replica, 7, "block 7")
		})
	}
}

var tooFar = merkle.Request{Upgrade: &merkle.UpgradeRequest{Start: 0, Length: 1 << 40}}

// flood sends until the stream ends.
func flood(p *rawPeer, send func(i uint64)) {
	w := &failing{ReadWriteCloser: p.stream}
	p.stream = w
	for i := uint64(1); w.err == nil; i++ {
		send(i)
	}
}

// A hostile server: each answer is wrong in another way.
func TestHostileAnswers(t *testing.T) {
	for name, spoil := range map[string]func(*merkle.Proof){
		"block":      func(p *merkle.Proof) { p.Block.Value[0] ^= 1 },
		"node":       func(p *merkle.Proof) { p.Block.Nodes[0].Hash[3] ^= 1 },
		"size":       func(p *merkle.Proof) { p.Block.Nodes[0].Size++ },
		"index":      func(p *merkle.Proof) { p.Block.Index++ },
		"two things": func(p *merkle.Proof) { p.Hash = &merkle.HashProof{Index: 2} },
	} {
		t.Run(name, func(t *testing.T) { hostileAnswer(t, false, spoil) })
	}
	for name, spoil := range map[string]func(*merkle.Proof){
		"signature": func(p *merkle.Proof) { p.Upgrade.Signature[10] ^= 1 },
		"surplus": func(p *merkle.Proof) {
			p.Upgrade.Signature = append(p.Upgrade.Signature, make([]byte, maxSignature)...)
		},
		"length":   func(p *merkle.Proof) { p.Upgrade.Length-- },
		"root":     func(p *merkle.Proof) { p.Upgrade.Nodes[0].Hash[0] ^= 1 },
		"manifest": func(p *merkle.Proof) { p.Manifest[20] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) { hostileAnswer(t, true, spoil) })
	}
}

// hostileAnswer has a reader ask a peer that spoils the first upgrade, or the
// first block; an honest peer that comes later serves it all the same.
func hostileAnswer(t *testing.T, upgrade bool, spoil func(*merkle.Proof)) {
	w, r := newNode(t, "writer"), newNode(t, "reader")
	core := w.own("core", numbered(50)...)
	replica, _ := r.replica(core.Key(), AttachOptions{})
	x, y := rawPipe()
	ended := make(chan error, 1)
	go func() { ended <- r.swarm.Serve(t.Context(), Conn{Stream: x, Initiator: true, Peer: "hostile"}) }()
	p := newRawPeer(t, y, [64]byte{})
	p.openedIDs(1)
	p.open(1, core.Key())
	p.send(1, wire.Sync{Length: 50, CanUpgrade: true, Uploading: true, HasManifest: true})
	p.send(1, wire.Range{Length: 50})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go replica.Get(ctx, 7)
	go serveByHand(p, core, func(q merkle.Request, proof *merkle.Proof) {
		if (q.Upgrade != nil) == upgrade {
			spoil(proof)
		}
	})
	select {
	case err := <-ended:
		if !errors.Is(err, ErrMisbehaved) {
			t.Errorf("ended with %v, want ErrMisbehaved", err)
		}
	case <-deadline(t).Done():
		t.Fatal("the peer was not dropped")
	}
	if n := r.logged.count("peer dropped"); n != 1 {
		t.Errorf("%d lines in the log, want 1: %v", n, r.logged.lines)
	}
	if replica.Has(7) || upgrade && replica.Info().Length != 0 {
		t.Errorf("something was stored: %+v", replica.Info())
	}
	w.swarm.Attach(core, AttachOptions{})
	connect(t, w, r)
	get(t, replica, 7, "block 7")
}

// serveByHand answers requests as they come, as spoil leaves the proof.
func serveByHand(p *rawPeer, core *hypercore.Core, spoil func(merkle.Request, *merkle.Proof)) {
	seen := 0
	for {
		var next *rawMessage
		if !p.wait("requests", func(got []rawMessage) bool {
			for ; seen < len(got); seen++ {
				if got[seen].channel != 0 && (got[seen].typ == wire.TypeRequest || got[seen].typ == wire.TypeSync) {
					next = &got[seen]
					seen++
					return true
				}
			}
			return false
		}) {
			return
		}
		if next.typ == wire.TypeSync {
			s, _ := wire.ParseSync(next.payload)
			if s.Length < 50 && s.RemoteLength == 50 || s.Length == 50 {
				continue
			}
			p.send(1, wire.Sync{Length: 50, RemoteLength: s.Length, CanUpgrade: true, Uploading: true, HasManifest: true})
			continue
		}
		q, err := wire.ParseRequest(next.payload)
		if err != nil {
			return
		}
		proof, err := core.Prove(q.Request)
		if err != nil {
			return
		}
		if u := proof.Upgrade; u != nil {
			u.Signature = bytes.Clone(u.Signature)
		}
		proof.Manifest = bytes.Clone(proof.Manifest)
		spoil(q.Request, proof)
		if p.send(1, wire.Data{ID: q.ID, Proof: *proof}) != nil {
			return
		}
	}
}
