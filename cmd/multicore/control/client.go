package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

// answerTime is how long a process that holds a store may take to say hello.
const answerTime = 5 * time.Second

// unmountTime is how long the process may take to flush and unmount, once the
// command that asked for a mountpoint is told to end.
const unmountTime = 30 * time.Second

// Client is the Service of the process that holds a store. Safe for concurrent
// use.
type Client struct {
	dir  string
	pid  int
	http *http.Client
}

var _ Service = (*Client)(nil)

// Dial reaches the process that serves the store in dir: ErrNoServer where none
// does, Code InUse where it does not answer.
func Dial(ctx context.Context, dir string) (*Client, error) {
	probe, err := connect(ctx, dir)
	if err != nil {
		return nil, err
	}
	pid := peerPID(probe)
	probe.Close()

	c := &Client{dir: dir, pid: pid}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return connect(ctx, dir) },
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
		IdleConnTimeout:        time.Minute,
	}}
	hello, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	err = c.unary(hello, "hello", struct{}{}, new(helloReply))
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case hello.Err() != nil:
		err = &Error{Code: InUse, Text: fmt.Sprintf("store %s is in use by process %d, which does not answer", dir, pid)}
	case errors.Is(err, ErrGone):
		err = ErrNoServer // it was closing
	}
	c.Close()
	return nil, err
}

// PID is the process that holds the store, 0 if unknown.
func (c *Client) PID() int { return c.pid }

// Close drops idle connections. Calls that are under way go on.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

func (c *Client) Status(ctx context.Context) (*Status, error) {
	var out Status
	if err := c.unary(ctx, "status", struct{}{}, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

func (c *Client) Peers(ctx context.Context) (*Peers, error) {
	var out Peers
	if err := c.unary(ctx, "peers", struct{}{}, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

func (c *Client) Key(ctx context.Context) (string, error) {
	var out keyReply
	err := c.unary(ctx, "key", struct{}{}, &out)
	return out.Key, err
}

func (c *Client) Init(ctx context.Context) (string, bool, error) {
	var out keyReply
	err := c.unary(ctx, "init", struct{}{}, &out)
	return out.Key, out.Made, err
}

func (c *Client) Follow(ctx context.Context, r FollowRequest, emit func(Following) error) error {
	return stream(ctx, c, "follow", r, emit)
}

func (c *Client) Unfollow(ctx context.Context, keyOrName string) (string, error) {
	var out keyReply
	err := c.unary(ctx, "unfollow", nameRequest{keyOrName}, &out)
	return out.Key, err
}

func (c *Client) List(ctx context.Context) ([]Followed, error) {
	var out []Followed
	err := c.unary(ctx, "list", struct{}{}, &out)
	return out, err
}

func (c *Client) Verify(ctx context.Context, r VerifyRequest, emit func(Verified) error) error {
	return stream(ctx, c, "verify", r, emit)
}

func (c *Client) Clear(ctx context.Context, r ClearRequest) (*ClearResult, error) {
	var out ClearResult
	if err := c.unary(ctx, "clear", r, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

func (c *Client) Purge(ctx context.Context, keyOrName string) (*PurgeResult, error) {
	var out PurgeResult
	if err := c.unary(ctx, "purge", nameRequest{keyOrName}, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// Mount implements Service. Where the other process does not unmount within
// unmountTime after the end of ctx, the error has Code InUse.
func (c *Client) Mount(ctx context.Context, r MountRequest, emit func(Mount) error) error {
	// A connection that closes has the other end unmount, but tells nobody when
	// that is done. So the end of ctx becomes a call, and the stream goes on.
	call, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var path atomic.Pointer[string] // once it is mounted
	var failed error
	told := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(told)
		at := path.Load()
		if at == nil {
			cancel()
			return
		}
		if failed = c.unmountSoon(call, *at); failed != nil {
			cancel()
		}
	})
	err := stream(call, c, "mount", r, func(m Mount) error {
		path.Store(&m.Path)
		if ctx.Err() != nil { // it may have ended before it knew the path
			return ctx.Err()
		}
		return emit(m)
	})
	if unhook() {
		return err
	}
	<-told
	switch {
	case failed != nil:
		return failed
	case err == nil, call.Err() != nil, errors.Is(err, ErrGone):
		return ctx.Err()
	}
	return err
}

// unmountSoon is Unmount for who does not wait for ever, and does not mind if
// somebody else was faster, be it the process that ends and takes its mounts
// along.
func (c *Client) unmountSoon(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, unmountTime)
	defer cancel()
	_, err := c.Unmount(ctx, path)
	switch {
	case ctx.Err() != nil:
		return &Error{Code: InUse, Text: fmt.Sprintf("process %d, which holds %s, does not unmount %s", c.pid, c.dir, path)}
	case CodeOf(err) == NotFound, errors.Is(err, ErrGone):
		return nil
	}
	return err
}

func (c *Client) Unmount(ctx context.Context, path string) (ends bool, err error) {
	var out unmountReply
	err = c.unary(ctx, "unmount", nameRequest{path}, &out)
	return out.Ends, err
}

func (c *Client) Yield(ctx context.Context) error {
	return c.unary(ctx, "yield", struct{}{}, new(struct{}))
}

// Append implements Service. An error does not say how much of in was taken,
// unless it is ErrNoServer: then nothing was.
func (c *Client) Append(ctx context.Context, r AppendRequest, in io.Reader) (*AppendResult, error) {
	q := url.Values{}
	if r.Core != "" {
		q.Set("core", r.Core)
	}
	if r.Framing != "" {
		q.Set("framing", r.Framing)
	}
	if r.MaxMessage != 0 {
		q.Set("max_message", strconv.Itoa(r.MaxMessage))
	}
	if _, closes := in.(io.Closer); closes {
		in = io.NopCloser(in) // the caller may go on to use it
	}
	resp, err := c.post(ctx, "append?"+q.Encode(), in)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var out AppendResult
	if err := decodeAnswer(resp, &out); err != nil {
		return nil, c.failed(ctx, err)
	}
	return &out, nil
}

// Read implements Service. An error of emit ends the call and is its error.
func (c *Client) Read(ctx context.Context, r ReadRequest, emit func(Item) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before the body is closed, which would else read it to its end
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	resp, err := c.post(ctx, "read", bytes.NewReader(body))
	if err != nil {
		return err
	}
	frames := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		it, err := readItem(frames)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return c.failed(ctx, err)
		}
		if err := emit(it); err != nil {
			return err
		}
	}
}

func (c *Client) unary(ctx context.Context, method string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := c.post(ctx, method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := decodeAnswer(resp, out); err != nil {
		return c.failed(ctx, err)
	}
	return nil
}

// post sends a request and checks the answer's version and status.
func (c *Client) post(ctx context.Context, method string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://multicore/v1/"+method, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set(versionHeader, protocolVersion)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	if got := resp.Header.Get(versionHeader); got != protocolVersion {
		resp.Body.Close()
		return nil, versionError(fmt.Sprintf("process %d, which holds %s,", c.pid, c.dir), got, protocolVersion)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		var w wireError
		if err := decodeAnswer(resp, &w); err != nil || w.Text == "" {
			return nil, fmt.Errorf("process %d, which holds %s, answered %s", c.pid, c.dir, resp.Status)
		}
		return nil, w.err()
	}
	return resp, nil
}

func decodeAnswer(resp *http.Response, out any) error {
	return json.NewDecoder(resp.Body).Decode(out)
}

// failed says what an error of the connection means: the caller's own context
// has ended, or the server has.
func (c *Client) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var op *net.OpError
	switch {
	case errors.Is(err, ErrNoServer):
		return fmt.Errorf("%w: %w", ErrGone, ErrNoServer)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &op):
		return ErrGone
	}
	var e *Error
	var u *url.Error
	if !errors.As(err, &e) && errors.As(err, &u) {
		err = u.Err // without the method and address, which mean nothing to a user
	}
	return err
}
