package main

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"multicore/cmd/multicore/node"
)

func TestSayReachable(t *testing.T) {
	const announced = "multicore: announced: others can find this key\n"
	const notYet = "multicore: not reachable yet: multicore doctor\n"
	public := node.Network{DHT: "public", Announce: true, MDNS: true}
	for name, tt := range map[string]struct {
		nw    node.Network
		keys  int
		after time.Duration // others can find it; 0: never
		soon  string        // what is said before findable
		want  string        // in all
	}{
		"soon":                {public, 1, time.Second, announced, announced},
		"late":                {public, 1, time.Minute, "", notYet + announced},
		"never":               {public, 1, 0, "", notYet},
		"several":             {public, 2, time.Second, "multicore: announced: others can find these keys\n", "multicore: announced: others can find these keys\n"},
		"nothing to announce": {public, 0, time.Second, "", ""},
		"off": {node.Network{DHT: "off", Announce: true}, 1, time.Second,
			"multicore: not announced (--dht off): others need an address of this node: multicore status\n",
			"multicore: not announced (--dht off): others need an address of this node: multicore status\n"},
		"silent": {node.Network{DHT: "public", MDNS: true}, 1, time.Second,
			"multicore: not announced (--announce=false): found on this machine and network only; others need an address of this node: multicore status\n",
			"multicore: not announced (--announce=false): found on this machine and network only; others need an address of this node: multicore status\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b bytes.Buffer
				ctx, cancel := context.WithCancel(t.Context())
				began := time.Now()
				done := make(chan struct{})
				go func() {
					defer close(done)
					sayReachable(ctx, newLog(&b, slog.LevelInfo, new(atomic.Bool)), &tt.nw, tt.keys, func(ctx context.Context) error {
						timer := time.NewTimer(time.Hour)
						if tt.after > 0 {
							timer.Reset(tt.after - time.Since(began))
						}
						select {
						case <-timer.C:
							return nil
						case <-ctx.Done():
							return ctx.Err()
						}
					})
				}()
				time.Sleep(findable - time.Millisecond)
				synctest.Wait()
				if b.String() != tt.soon {
					t.Errorf("soon it says %q, want %q", b.String(), tt.soon)
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if b.String() != tt.want {
					t.Errorf("it says %q, want %q", b.String(), tt.want)
				}
				cancel()
				<-done
				if b.String() != tt.want {
					t.Errorf("at the end it says %q, want %q", b.String(), tt.want)
				}
			})
		})
	}
}
