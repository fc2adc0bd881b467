package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// versionHeader carries protocolVersion in requests and answers.
const (
	versionHeader   = "Multicore-Control"
	protocolVersion = "3"
)

const (
	maxRequest = 1 << 20         // JSON of a request
	drainTime  = 2 * time.Second // what Close gives calls that do not wait for anything
)

// Server answers the control socket of a store.
type Server struct {
	svc  Service
	path string // of the socket file
	http *http.Server

	stopping context.Context // ends when Close begins
	stop     context.CancelFunc
	calls    context.Context // ends when Close gives up waiting
	cut      context.CancelFunc
	served   chan struct{}
	closing  sync.Once
}

// Serve makes the socket in dir and answers it with svc until Close. The caller
// holds the store's lock, and closes the server before it gives the lock up.
// When ctx ends, so do the calls that are being answered.
func Serve(ctx context.Context, dir string, svc Service) (*Server, error) {
	l, err := listen(ctx, dir)
	if err != nil {
		return nil, err
	}
	s := &Server{svc: svc, path: filepath.Join(dir, socketName), served: make(chan struct{})}
	s.calls, s.cut = context.WithCancel(ctx)
	s.stopping, s.stop = context.WithCancel(s.calls)
	s.http = &http.Server{
		Handler:           s.routes(),
		MaxHeaderBytes:    64 << 10,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // only ever about broken clients
	}
	go func() {
		defer close(s.served)
		s.http.Serve(l)
	}()
	return s, nil
}

// Close stops listening, ends the calls that wait, gives the others a moment to
// finish, and removes the socket. It may be called twice.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.stop()
		os.Remove(s.path)
		drain, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		if s.http.Shutdown(drain) != nil {
			s.cut()
			// Cut calls still get to say so; what then remains is a client
			// that does not read.
			last, cancel := context.WithTimeout(context.Background(), drainTime)
			defer cancel()
			if s.http.Shutdown(last) != nil {
				s.http.Close()
			}
		}
		s.cut()
		<-s.served
	})
	return nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/hello", unary(s, func(context.Context, struct{}) (helloReply, error) {
		return helloReply{PID: os.Getpid()}, nil
	}))
	mux.HandleFunc("POST /v1/status", unary(s, func(ctx context.Context, _ struct{}) (*Status, error) {
		return s.svc.Status(ctx)
	}))
	mux.HandleFunc("POST /v1/peers", unary(s, func(ctx context.Context, _ struct{}) (*Peers, error) {
		return s.svc.Peers(ctx)
	}))
	mux.HandleFunc("POST /v1/key", unary(s, func(ctx context.Context, _ struct{}) (keyReply, error) {
		key, err := s.svc.Key(ctx)
		return keyReply{Key: key}, err
	}))
	mux.HandleFunc("POST /v1/init", unary(s, func(ctx context.Context, _ struct{}) (keyReply, error) {
		key, made, err := s.svc.Init(ctx)
		return keyReply{Key: key, Made: made}, err
	}))
	mux.HandleFunc("POST /v1/follow", streamed(s, func(ctx context.Context, r FollowRequest, emit func(Following) error) error {
		if r.Wait {
			var done func()
			ctx, done = s.waiting(ctx)
			defer done()
		}
		return s.svc.Follow(ctx, r, emit)
	}))
	mux.HandleFunc("POST /v1/unfollow", unary(s, func(ctx context.Context, r nameRequest) (keyReply, error) {
		key, err := s.svc.Unfollow(ctx, r.Name)
		return keyReply{Key: key}, err
	}))
	mux.HandleFunc("POST /v1/list", unary(s, func(ctx context.Context, _ struct{}) ([]Followed, error) {
		return s.svc.List(ctx)
	}))
	mux.HandleFunc("POST /v1/clear", unary(s, func(ctx context.Context, r ClearRequest) (*ClearResult, error) {
		return s.svc.Clear(ctx, r)
	}))
	mux.HandleFunc("POST /v1/purge", unary(s, func(ctx context.Context, r nameRequest) (*PurgeResult, error) {
		return s.svc.Purge(ctx, r.Name)
	}))
	mux.HandleFunc("POST /v1/mount", streamed(s, func(ctx context.Context, r MountRequest, emit func(Mount) error) error {
		ctx, done := s.waiting(ctx)
		defer done()
		return s.svc.Mount(ctx, r, emit)
	}))
	mux.HandleFunc("POST /v1/unmount", unary(s, func(ctx context.Context, r nameRequest) (unmountReply, error) {
		ends, err := s.svc.Unmount(ctx, r.Name)
		return unmountReply{Ends: ends}, err
	}))
	mux.HandleFunc("POST /v1/yield", unary(s, func(ctx context.Context, _ struct{}) (struct{}, error) {
		return struct{}{}, s.svc.Yield(ctx)
	}))
	mux.HandleFunc("POST /v1/verify", streamed(s, func(ctx context.Context, r VerifyRequest, emit func(Verified) error) error {
		ctx, done := s.waiting(ctx)
		defer done()
		return s.svc.Verify(ctx, r, emit)
	}))
	mux.HandleFunc("POST /v1/append", s.append)
	mux.HandleFunc("POST /v1/read", s.read)
	return checkVersion(mux)
}

type (
	helloReply struct {
		PID int `json:"pid"`
	}
	keyReply struct {
		Key  string `json:"key"`
		Made bool   `json:"made,omitempty"`
	}
	unmountReply struct {
		Ends bool `json:"ends,omitempty"`
	}
	nameRequest struct {
		Name string `json:"name"` // a path, a key or a name
	}
)

// checkVersion refuses clients of another protocol before anything is read.
func checkVersion(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(versionHeader, protocolVersion)
		if got := r.Header.Get(versionHeader); got != protocolVersion {
			answerError(w, versionError(fmt.Sprintf("process %d, which holds the store,", os.Getpid()), protocolVersion, got))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func versionError(holder, theirs, ours string) error {
	if ours == "" {
		ours = "none"
	}
	return &Error{Code: Other, Text: fmt.Sprintf("%s speaks control version %q, this command %q: use the same multicore for both", holder, theirs, ours)}
}

// waiting derives a context for a call that may wait without end: it ends as
// soon as the server begins to close.
func (s *Server) waiting(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(s.stopping, cancel)
	return ctx, func() { unhook(); cancel() }
}

// call gives the context of one request.
func (s *Server) call(r *http.Request) (context.Context, func()) {
	ctx, cancel := context.WithCancel(r.Context())
	unhook := context.AfterFunc(s.calls, cancel)
	return ctx, func() { unhook(); cancel() }
}

// gone turns the error of a call into ErrGone where the server cut it off.
func (s *Server) gone(r *http.Request, err error) error {
	if errors.Is(err, context.Canceled) && r.Context().Err() == nil && s.stopping.Err() != nil {
		return ErrGone
	}
	return err
}

// unary answers a method that takes and gives one JSON value.
func unary[In, Out any](s *Server, do func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		if !decode(w, r, &in) {
			return
		}
		ctx, done := s.call(r)
		defer done()
		out, err := do(ctx, in)
		if err != nil {
			answerError(w, s.gone(r, err))
			return
		}
		answer(w, http.StatusOK, out)
	}
}

func decode(w http.ResponseWriter, r *http.Request, in any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(in); err != nil {
		answerError(w, &Error{Code: Usage, Text: fmt.Sprintf("bad control request: %v", err)})
		return false
	}
	return true
}

func answer(w http.ResponseWriter, status int, out any) {
	body, err := json.Marshal(out)
	if err != nil {
		panic("control: " + err.Error()) // every answer is a plain struct
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // fails only where the client has left
}

func answerError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if errors.Is(err, ErrGone) {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, toWire(err))
}

func (s *Server) append(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	in := AppendRequest{Core: q.Get("core"), Framing: q.Get("framing")}
	if m := q.Get("max_message"); m != "" {
		n, err := strconv.Atoi(m)
		if err != nil || n < 0 {
			answerError(w, &Error{Code: Usage, Text: fmt.Sprintf("bad control request: max_message %q", m)})
			return
		}
		in.MaxMessage = n
	}
	// An error is answered at once, though the client may still be sending.
	http.NewResponseController(w).EnableFullDuplex()
	ctx, done := s.call(r)
	defer done()
	// A body that waits for its next byte must not outlive the call.
	unhook := context.AfterFunc(ctx, func() { http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) })
	defer unhook()
	out, err := s.svc.Append(ctx, in, r.Body)
	if err != nil {
		if s.calls.Err() != nil {
			err = ErrGone
		}
		answerError(w, s.gone(r, err))
		discardRest(w, r)
		return
	}
	answer(w, http.StatusOK, out)
}

// discardRest lets a client that is still sending read its answer: it leaves
// then, while a connection closed under its hands could hide the answer.
func discardRest(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	rc.Flush()
	rc.SetReadDeadline(time.Now().Add(time.Second))
	io.Copy(io.Discard, r.Body)
}

func (s *Server) read(w http.ResponseWriter, r *http.Request) {
	var in ReadRequest
	if !decode(w, r, &in) {
		return
	}
	ctx, done := s.call(r)
	defer done()
	if in.Follow {
		var stop func()
		ctx, stop = s.waiting(ctx)
		defer stop()
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	out := newFrameWriter(w)
	defer out.close()
	err := s.svc.Read(ctx, in, out.item)
	switch err = s.gone(r, err); {
	case err == nil:
		out.last(frameEnd, nil)
	case errors.Is(err, ErrGone):
		out.last(frameGone, nil)
	default:
		out.last(frameError, toWire(err))
	}
}
