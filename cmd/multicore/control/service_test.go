package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRoundTrips(t *testing.T) {
	key, port, now := "ab12", "127.0.0.1:1", time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC)
	status := &Status{
		V: 1, MainKey: &key,
		Mounts:   []Mount{{Path: "/m n", Key: key, ReadOnly: true}},
		Node:     &Node{PeerID: "12D", Addrs: []string{"/ip4/127.0.0.1"}, HypercoreTCP: &port, DHT: DHT{Mode: "off", RoutingTable: 3, LastProvide: &now}},
		Cores:    []Core{{Path: "main", Key: key, DiscoveryKey: "d", Length: 1 << 52, ByteLength: 5, Writable: true}},
		Followed: []Followed{{Key: key, Name: "friend", Cores: []Core{}}},
		Peers:    []Peer{{ID: "p", RTTMillis: 1.5, SentBytes: 7}},
	}
	var gotFollow FollowRequest
	missing := &Missing{Blocks: 3, Ranges: []Span{{4, 5}, {1 << 52, 1 << 52}}, Sources: 1, Stalled: true}
	told := []Following{{Followed: Followed{Key: key, Cores: []Core{{Path: "main", Learned: true, Missing: missing}}}}, {Followed: status.Followed[0], Done: true}}
	svc := &fake{
		status: func(context.Context) (*Status, error) { return status, nil },
		key:    func() (string, error) { return key, nil },
		follow: func(_ context.Context, r FollowRequest, emit func(Following) error) error {
			gotFollow = r
			return errors.Join(emit(told[0]), emit(told[1]))
		},
		byName:   func(string) error { return nil },
		followed: status.Followed,
		peers:    &Peers{V: 1, Peers: []PeerDetail{{Peer: status.Peers[0], Direction: "inbound", SentRate: 3, Since: now, Cores: []string{"main"}}}},
	}
	_, c := serve(t, t.TempDir(), svc)
	ctx := context.Background()

	if got, err := c.Status(ctx); err != nil || !reflect.DeepEqual(got, status) {
		t.Errorf("Status: %+v, %v", got, err)
	}
	if got, err := c.Peers(ctx); err != nil || !reflect.DeepEqual(got, svc.peers) {
		t.Errorf("Peers: %+v, %v", got, err)
	}
	if got, err := c.Key(ctx); err != nil || got != key {
		t.Errorf("Key: %q, %v", got, err)
	}
	if got, made, err := c.Init(ctx); err != nil || got != key || !made {
		t.Errorf("Init: %q, %v, %v", got, made, err)
	}
	follow := FollowRequest{Key: key, Name: "n", Wait: true, Timeout: time.Minute}
	var heard []Following
	err := c.Follow(ctx, follow, func(f Following) error { heard = append(heard, f); return nil })
	if err != nil || gotFollow != follow || !reflect.DeepEqual(heard, told) {
		t.Errorf("Follow: %+v, %v, told %+v", gotFollow, err, heard)
	}
	if got, err := c.List(ctx); err != nil || !reflect.DeepEqual(got, status.Followed) {
		t.Errorf("List: %+v, %v", got, err)
	}
	if key, err := c.Unfollow(ctx, "é"); err != nil || key != "key of é" {
		t.Errorf("Unfollow: %q, %v", key, err)
	}
	if err := c.Yield(ctx); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]bool{"/m n": false, "/last": true} {
		if ends, err := c.Unmount(ctx, path); ends != want || err != nil {
			t.Errorf("Unmount %s: %v, %v", path, ends, err)
		}
	}
	svc.calls = svc.calls[:2] // the order of the two does not matter
	cleared, err := c.Clear(ctx, ClearRequest{Path: "core-3", Spans: []Span{{1, 1 << 62}}, Force: true})
	if err != nil || *cleared != (ClearResult{Path: "core-3", Blocks: 3, Bytes: 30, Note: "a note"}) {
		t.Errorf("Clear: %+v, %v", cleared, err)
	}
	purged, err := c.Purge(ctx, "friend")
	if err != nil || *purged != (PurgeResult{Key: "friend", Cores: 3}) {
		t.Errorf("Purge: %+v, %v", purged, err)
	}
	if want := []string{"unfollow é", "yield", "clear core-3 [{1 4611686018427387904}] true", "purge friend"}; !reflect.DeepEqual(svc.calls, want) {
		t.Errorf("calls %q, want %q", svc.calls, want)
	}
}

func TestErrorsKeepCodeAndText(t *testing.T) {
	cause := error(nil)
	svc := &fake{
		status: func(context.Context) (*Status, error) { return nil, cause },
		byName: func(string) error { return cause },
		append: func(context.Context, AppendRequest, io.Reader) (*AppendResult, error) { return nil, cause },
		read:   func(context.Context, ReadRequest, func(Item) error) error { return cause },
	}
	_, c := serve(t, t.TempDir(), svc)
	ctx := context.Background()
	for _, tt := range []struct {
		err  error
		code Code
		text string
	}{
		{&Error{Code: NotFound, Text: "no such thing"}, NotFound, "no such thing"},
		{fmt.Errorf("read: %w", &Error{Code: Verify, Text: "bad"}), Verify, "read: bad"},
		{fmt.Errorf("write: %w", syscall.ENOSPC), DiskFull, "write: no space left on device"},
		{errors.New("plain\nüber"), Other, "plain\nüber"},
		{context.DeadlineExceeded, Timeout, "context deadline exceeded"},
	} {
		cause = tt.err
		_, err := c.Status(ctx)
		wantCode(t, err, tt.code, tt.text)
		_, err = c.Unmount(ctx, "m")
		wantCode(t, err, tt.code, tt.text)
		_, err = c.Append(ctx, AppendRequest{}, strings.NewReader("x"))
		wantCode(t, err, tt.code, tt.text)
		wantCode(t, c.Read(ctx, ReadRequest{}, nil), tt.code, tt.text)
	}
}

func TestAppendStreams(t *testing.T) {
	var got []byte
	var request AppendRequest
	svc := &fake{append: func(_ context.Context, r AppendRequest, in io.Reader) (*AppendResult, error) {
		b, err := io.ReadAll(in)
		got, request = b, r
		return &AppendResult{Messages: 2, Bytes: uint64(len(b)), Reachable: true}, err
	}}
	_, c := serve(t, t.TempDir(), svc)
	body := bytes.Repeat([]byte("0123456789\n"), 1<<19)
	want := AppendRequest{Core: "core-2", Framing: "64KiB", MaxMessage: 99}
	res, err := c.Append(context.Background(), want, bytes.NewReader(body))
	if err != nil || *res != (AppendResult{Messages: 2, Bytes: uint64(len(body)), Reachable: true}) {
		t.Fatalf("%+v, %v", res, err)
	}
	if request != want || !bytes.Equal(got, body) {
		t.Fatalf("got %+v and %d bytes", request, len(got))
	}
}

// A service that refuses while the client still has much to send: the client
// sees the refusal, not a broken connection.
func TestAppendRefusedEarly(t *testing.T) {
	svc := &fake{append: func(_ context.Context, _ AppendRequest, in io.Reader) (*AppendResult, error) {
		io.ReadFull(in, make([]byte, 10))
		return nil, &Error{Code: DiskFull, Text: "full"}
	}}
	_, c := serve(t, t.TempDir(), svc)
	for range 20 {
		_, err := c.Append(context.Background(), AppendRequest{}, io.LimitReader(zeros{}, 64<<20))
		wantCode(t, err, DiskFull, "full")
	}
	pr, pw := io.Pipe() // an input that never ends nor goes on
	defer pw.Close()
	go pw.Write(make([]byte, 10))
	_, err := c.Append(context.Background(), AppendRequest{}, pr)
	wantCode(t, err, DiskFull, "full")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// An input that fails is an error for the service too, not the end of a line.
func TestAppendInputFails(t *testing.T) {
	seen := make(chan error, 1)
	svc := &fake{append: func(_ context.Context, _ AppendRequest, in io.Reader) (*AppendResult, error) {
		_, err := io.ReadAll(in)
		seen <- err
		return nil, err
	}}
	_, c := serve(t, t.TempDir(), svc)
	broken := errors.New("input broke")
	_, err := c.Append(context.Background(), AppendRequest{}, io.MultiReader(strings.NewReader("half a li"), failing{broken}))
	if !errors.Is(err, broken) {
		t.Errorf("client: %v", err)
	}
	if err := within(t, "service", seen); err == nil {
		t.Error("the service took a broken input for a complete one")
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestReadStreams(t *testing.T) {
	last := uint64(0)
	want := ReadRequest{Path: "ab/core-3", Spans: []Span{{1, 1}, {3, 9}}, From: 4, Last: &last, Start: map[string]uint64{"k": 7}, Timeout: time.Second}
	items := []Item{
		{Note: "old"},
		{Core: "core-3", Key: "k"},
		{Core: "core-3", Key: "k", Index: 1 << 52, Block: []byte("hello\n")},
		{Core: "core-3", Key: "k", Index: 2, Block: []byte{}},
		{Core: "core-3", Key: "k", Index: 3, Block: bytes.Repeat([]byte{0, 255}, 4<<20)},
	}
	svc := &fake{read: func(_ context.Context, r ReadRequest, emit func(Item) error) error {
		if !reflect.DeepEqual(r, want) {
			return fmt.Errorf("got %+v", r)
		}
		for _, it := range items {
			if err := emit(it); err != nil {
				return err
			}
		}
		return nil
	}}
	_, c := serve(t, t.TempDir(), svc)
	var got []Item
	if err := c.Read(context.Background(), want, func(it Item) error { got = append(got, it); return nil }); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, items) {
		t.Fatalf("got %d items, want %d, or they differ", len(got), len(items))
	}
}

func TestReadFailsMidStream(t *testing.T) {
	svc := &fake{read: func(_ context.Context, _ ReadRequest, emit func(Item) error) error {
		emit(Item{Core: "core-3", Block: []byte("x")})
		return &Error{Code: Timeout, Text: "no peer has it"}
	}}
	_, c := serve(t, t.TempDir(), svc)
	n := 0
	err := c.Read(context.Background(), ReadRequest{}, func(Item) error { n++; return nil })
	wantCode(t, err, Timeout, "no peer has it")
	if n != 1 {
		t.Errorf("%d items before the error", n)
	}
}

// A followed read gives each item at once; ending the call at either side ends
// it at the other.
func TestReadFollows(t *testing.T) {
	more := make(chan Item)
	ended := make(chan error, 1)
	svc := &fake{read: func(ctx context.Context, _ ReadRequest, emit func(Item) error) error {
		for {
			select {
			case it := <-more:
				emit(it)
			case <-ctx.Done():
				ended <- ctx.Err()
				return ctx.Err()
			}
		}
	}}
	_, c := serve(t, t.TempDir(), svc)

	ctx, cancel := context.WithCancel(context.Background())
	items, result := make(chan Item, 1), make(chan error, 1)
	go func() {
		result <- c.Read(ctx, ReadRequest{Follow: true}, func(it Item) error { items <- it; return nil })
	}()
	for i := range uint64(3) {
		more <- Item{Index: i, Block: []byte("x")}
		if it := within(t, "item", items); it.Index != i {
			t.Fatalf("item %d, want %d", it.Index, i)
		}
	}
	cancel()
	if err := within(t, "client", result); !errors.Is(err, context.Canceled) {
		t.Errorf("client: %v", err)
	}
	if err := within(t, "service", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("service: %v", err)
	}

	enough := errors.New("enough")
	go func() {
		result <- c.Read(context.Background(), ReadRequest{Follow: true}, func(Item) error { return enough })
	}()
	more <- Item{Block: []byte("x")}
	if err := within(t, "client", result); err != enough {
		t.Errorf("client: %v", err)
	}
	within(t, "service", ended)
}
