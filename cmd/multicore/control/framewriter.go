package control

import (
	"net/http"
	"sync"
)

// frameWriter sends frames so that each leaves at once, yet many share a write
// while they come faster than they leave: one goroutine flushes whatever has
// gathered since its last flush.
type frameWriter struct {
	w    http.ResponseWriter
	kick chan struct{}
	done chan struct{}

	mu  sync.Mutex
	buf []byte
	err error // of the first write that failed
}

func newFrameWriter(w http.ResponseWriter) *frameWriter {
	f := &frameWriter{w: w, kick: make(chan struct{}, 1), done: make(chan struct{})}
	go f.flush()
	return f
}

func (f *frameWriter) flush() {
	defer close(f.done)
	rc := http.NewResponseController(f.w)
	for range f.kick {
		f.mu.Lock()
		if err := rc.Flush(); err != nil && f.err == nil {
			f.err = err
		}
		f.mu.Unlock()
	}
}

// item sends one item; its error means that the client has left.
func (f *frameWriter) item(it Item) error {
	return f.send(func(buf []byte) ([]byte, error) { return appendItem(buf, it) })
}

// last sends the frame that ends the stream.
func (f *frameWriter) last(kind frameKind, header any) {
	f.send(func(buf []byte) ([]byte, error) { return appendFrame(buf, kind, header, nil) })
}

func (f *frameWriter) send(encode func([]byte) ([]byte, error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	buf, err := encode(f.buf[:0])
	if err != nil {
		return err
	}
	f.buf = buf
	if _, f.err = f.w.Write(buf); f.err != nil {
		return f.err
	}
	select {
	case f.kick <- struct{}{}:
	default:
	}
	return nil
}

// close ends the goroutine; the handler may return only after it.
func (f *frameWriter) close() {
	close(f.kick)
	<-f.done
}
