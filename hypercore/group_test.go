package hypercore

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"multicore/hypercore/storage"
	"multicore/hypercore/storage/storagetest"
)

// Everybody who appends while a round is under way is served by the next one,
// with one signature: a signature has a length, and only two are ever seen.
func TestAppendersShareARound(t *testing.T) {
	const appenders = 64
	faults := &storagetest.Faults{FS: storage.MemoryFS()}
	st := &counting{Store: storage.MemoryOn(faults)}
	c := own(t, flusherOf(t, st), 1)
	mustFlush(t, c)
	before := st.updates.Load()
	var heads []uint64
	defer c.Subscribe(func(e Event) {
		if e.Kind == Durable {
			heads = append(heads, e.To)
		}
	})()
	entered, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var syncs atomic.Int64
	faults.Hook(func(op storagetest.Op, name string) error {
		if op == storagetest.Sync {
			syncs.Add(1)
			once.Do(func() {
				close(entered)
				<-proceed
			})
		}
		return nil
	})
	fill(t, c, 1)
	<-entered
	var appended, flushed sync.WaitGroup
	appended.Add(appenders)
	for range appenders {
		flushed.Go(func() {
			i, err := c.Append(t.Context(), []byte("block"))
			appended.Done()
			if err == nil {
				err = c.Flush(t.Context())
			}
			if err != nil {
				t.Error(err)
			} else if d := c.Info().Durable; d <= i {
				t.Errorf("block %d is flushed, %d are durable", i, d)
			}
		})
	}
	appended.Wait()
	close(proceed)
	flushed.Wait()
	if n := st.updates.Load() - before; n != 2 {
		t.Errorf("%d transactions, want 2", n)
	}
	if !slices.Equal(heads, []uint64{1, appenders + 1}) {
		t.Errorf("heads of the lengths %d were signed", heads)
	}
	if n := syncs.Load(); n > 6 { // both files each time, and new directories
		t.Errorf("%d syncs", n)
	}
}

// BenchmarkAppendSynced is appends that each wait for the disk: how many share a
// round shows in the rate.
func BenchmarkAppendSynced(b *testing.B) {
	for _, cores := range []int{1, 8} {
		for _, appenders := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%d cores/%d appenders", cores, appenders), func(b *testing.B) {
				st := &counting{Store: diskStore(b)}
				f := flusherOf(b, st)
				var list []*Core
				for n := range cores {
					list = append(list, own(b, f, byte(n)))
				}
				block := make([]byte, 64)
				var left atomic.Int64
				left.Store(int64(b.N))
				began, before := time.Now(), st.updates.Load()
				var group sync.WaitGroup
				for w := range appenders {
					group.Go(func() {
						for c := list[w%cores]; left.Add(-1) >= 0; {
							if _, err := c.Append(b.Context(), block); err != nil {
								b.Error(err)
							}
							if err := c.Flush(b.Context()); err != nil {
								b.Error(err)
							}
						}
					})
				}
				group.Wait()
				b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "appends/s")
				b.ReportMetric(float64(b.N)/float64(st.updates.Load()-before), "appends/round")
			})
		}
	}
}
