package p2p

import (
	"testing"
	"time"

	"multicore/hypercore"
	"multicore/hypercore/replicate"
)

// TestRateLimits: a limit of either side holds on every kind of stream, and a block
// that takes longer than its share of a second passes little by little.
func TestRateLimits(t *testing.T) {
	const limit, size = 1 << 20, 2 << 20
	for _, kind := range []string{"tcp", "quic", "hypercore-tcp"} {
		for _, upload := range []bool{true, false} {
			var wo, ro replicate.Options
			name := kind + " download"
			if upload {
				wo.UploadLimit, name = limit, kind+" upload"
			} else {
				ro.DownloadLimit = limit
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := startRealWith(t, wo, func(o *Options) {
					switch kind {
					case "hypercore-tcp":
						o.HypercoreListen = []string{"127.0.0.1:0"}
					case "tcp":
						o.Listen = loopback[:1]
					case "quic":
						o.Listen = loopback[1:]
					}
				})
				pair := hypercore.KeyPairFromSeed([32]byte{8})
				core := w.open(t, hypercore.Options{Key: hypercore.DefaultManifest(pair.Public).Key(), KeyPair: &pair})
				if _, err := core.Append(t.Context(), make([]byte, size)); err != nil {
					t.Fatal(err)
				}
				if err := core.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				defer w.swarm.Attach(core, replicate.AttachOptions{}).Detach()

				r := startRealWith(t, ro, func(o *Options) {
					if kind == "hypercore-tcp" {
						o.HypercorePeers = []string{w.Status().HypercoreTCP}
					} else {
						o.Peers = w.Status().Addrs
					}
				})
				replica := r.open(t, hypercore.Options{Key: core.Key()})
				defer r.swarm.Attach(replica, replicate.AttachOptions{}).Detach()
				if err := replica.Update(t.Context()); err != nil {
					t.Fatal(err)
				}
				began, peers := time.Now(), r.Status().Peers
				if len(peers) != 1 || peers[0].Transport != kind {
					t.Errorf("peers %+v", peers)
				}
				before := r.swarm.Peers()[0].Received
				if b, err := replica.Get(t.Context(), 0); err != nil || len(b) != size {
					t.Fatalf("%d bytes, %v", len(b), err)
				}
				n := r.swarm.Peers()[0].Received - before
				least := time.Duration(float64(n-limit/16) / limit * float64(time.Second))
				if took := time.Since(began); took < least || took > least+3*time.Second {
					t.Errorf("%d bytes took %v, want at least %v and not much more", n, took, least)
				}
			})
		}
	}
}
