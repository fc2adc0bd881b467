package fs

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestProcessOf: threads of this process are told from those of others, whatever is
// guessed.
func TestProcessOf(t *testing.T) {
	self := os.Getpid()
	threads := make(chan int)
	end := make(chan struct{})
	for range 2 { // one of them may be on the first thread
		go func() {
			runtime.LockOSThread()
			threads <- unix.Gettid()
			<-end
		}()
	}
	defer close(end)
	for _, thread := range []int{self, <-threads, <-threads} {
		for _, guess := range []int{0, self, os.Getppid(), thread, 1 << 30} {
			if got := processOf(thread, guess); got != self {
				t.Errorf("thread %d, guessed %d: process %d, want %d", thread, guess, got, self)
			}
		}
		if !isThreadOf(self, thread) || isThreadOf(os.Getppid(), thread) || isThreadOf(0, thread) {
			t.Errorf("thread %d is taken for one of another process", thread)
		}
	}
	if got := processOf(1<<30, self); got != 0 {
		t.Errorf("no thread: process %d", got)
	}
}
