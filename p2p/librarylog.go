package p2p

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"os"
	"sync"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"
)

// The libraries below write to stderr by themselves, each in its own form. A
// program's stderr is for its user, so their warnings become debug lines of the
// first node's log, and their own debug lines are dropped; with
// GOLOG_LOG_LEVEL set they are left alone.
var libraryLogOnce sync.Once

func adoptLibraryLog(l *slog.Logger) {
	libraryLogOnce.Do(func() {
		// quic-go prints this one whatever its log level is.
		if os.Getenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING") == "" {
			os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
		}
		if os.Getenv("GOLOG_LOG_LEVEL") != "" {
			return
		}
		gologshim.SetDefaultHandler(demoted{l.Handler()})
		golog.SetLogLevel("*", "fatal")
		if log.Writer() == os.Stderr { // zeroconf
			log.SetOutput(debugWriter{l})
		}
	})
}

// demoted passes warnings and worse on at debug level.
type demoted struct{ slog.Handler }

func (d demoted) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && d.Handler.Enabled(ctx, slog.LevelDebug)
}

func (d demoted) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return d.Handler.Handle(ctx, r)
}

func (d demoted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return demoted{d.Handler.WithAttrs(attrs)}
}

func (d demoted) WithGroup(name string) slog.Handler { return demoted{d.Handler.WithGroup(name)} }

type debugWriter struct{ log *slog.Logger }

func (w debugWriter) Write(p []byte) (int, error) {
	w.log.Debug(string(bytes.TrimSpace(p)))
	return len(p), nil
}
