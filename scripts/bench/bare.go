package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libtls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"golang.org/x/sync/errgroup"
)

// The ceiling: the bytes of a case over a stream with nothing of ours in the
// way, neither hashes nor stores.
//
// A request is 16 bytes: what is wanted, and how much of it.
const (
	bareProtocol = "/multicore/bench/1"

	bareBytes   = 1 // so many bytes, in pieces of 64 KiB
	bareBlock   = 2 // one answer of that size
	bareAppends = 3 // so many blocks, each written and synced first

	barePiece = 64 << 10
)

// bareHost is a libp2p host with the transport and security that p2p prefers.
func bareHost() (host.Host, error) {
	return libp2p.New(
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libtls.ID, libtls.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableMetrics(), libp2p.DisableRelay(),
	)
}

// bareWrite answers one stream.
func bareWrite(ctx context.Context, up *parent, s spec) error {
	streams := make(chan io.ReadWriteCloser, 1)
	var addr string
	if s.Transport == overTCP {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		addr = l.Addr().String()
		go func() {
			if c, err := l.Accept(); err == nil {
				streams <- c
			}
		}()
	} else {
		h, err := bareHost()
		if err != nil {
			return err
		}
		defer h.Close()
		addr = fmt.Sprintf("%s/p2p/%s", h.Addrs()[0], h.ID())
		h.SetStreamHandler(bareProtocol, func(s network.Stream) { streams <- s })
	}
	if err := up.say(reply{Event: "ready", Addr: addr}); err != nil {
		return err
	}
	select {
	case c := <-streams:
		defer context.AfterFunc(ctx, func() { c.Close() })()
		err := answer(ctx, c, s)
		if ctx.Err() != nil {
			return nil
		}
		return err
	case <-ctx.Done():
		return nil
	}
}

func answer(ctx context.Context, c io.ReadWriter, s spec) error {
	b, err := newBlocks(s.Pool, s.Size)
	if err != nil {
		return err
	}
	in, out := bufio.NewReader(c), bufio.NewWriterSize(c, barePiece)
	var request [16]byte
	for {
		if in.Buffered() < len(request) {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		if _, err := io.ReadFull(in, request[:]); err != nil {
			return nil // the reader, which counts what it gets, has gone
		}
		n := int(binary.LittleEndian.Uint64(request[8:]))
		switch binary.LittleEndian.Uint64(request[:]) {
		case bareBytes:
			for at := 0; n > 0; n -= min(n, barePiece) {
				if _, err := out.Write(b.pool[at : at+min(n, barePiece)]); err != nil {
					return err
				}
				at = (at + barePiece) % poolSize
			}
		case bareBlock:
			if _, err := out.Write(b.pool[:n]); err != nil {
				return err
			}
		case bareAppends:
			if err := bareAppend(ctx, out, s); err != nil {
				return err
			}
		}
	}
}

// bareAppend writes blocks, and as much as their nodes take, to two files,
// syncs them and sends the block.
func bareAppend(ctx context.Context, out *bufio.Writer, s spec) error {
	blocks, err := os.Create(filepath.Join(s.Dir, "blocks"))
	if err != nil {
		return err
	}
	defer blocks.Close()
	return paced(ctx, s, func(block []byte) error {
		if _, err := blocks.Write(block); err != nil {
			return err
		}
		if err := datasync(blocks); err != nil {
			return err
		}
		if _, err := out.Write(block); err != nil {
			return err
		}
		return out.Flush()
	})
}

// bareDial opens the stream that bareWrite answers; end closes it.
func bareDial(ctx context.Context, s spec) (c io.ReadWriter, end func(), err error) {
	if s.Transport == overTCP {
		c, err := net.Dial("tcp", s.Addr)
		if err != nil {
			return nil, nil, err
		}
		return c, func() { c.Close() }, nil
	}
	at, err := peer.AddrInfoFromString(s.Addr)
	if err != nil {
		return nil, nil, err
	}
	h, err := bareHost()
	if err != nil {
		return nil, nil, err
	}
	if err := h.Connect(ctx, *at); err != nil {
		h.Close()
		return nil, nil, err
	}
	stream, err := h.NewStream(ctx, at.ID, bareProtocol)
	if err != nil {
		h.Close()
		return nil, nil, err
	}
	return stream, func() { h.Close() }, nil
}

func bareRead(ctx context.Context, up *parent, s spec) error {
	c, end, err := bareDial(ctx, s)
	if err != nil {
		return err
	}
	defer end()
	r := &bareReader{spec: s, c: c, in: bufio.NewReaderSize(c, barePiece)}
	if _, err := r.bytes(s.WarmCount * s.Size); err != nil {
		return err
	}
	if err := up.say(reply{Event: "ready"}); err != nil {
		return err
	}
	if err := up.await(ctx, wordGo); err != nil {
		return err
	}
	var values map[string]float64
	switch s.Task {
	case taskDownload:
		var took time.Duration
		took, err = r.bytes(s.Count * s.Size)
		values = map[string]float64{"seconds": took.Seconds()}
	case taskDemand:
		values, err = r.demand(ctx)
	case taskVisible:
		values, err = r.visible()
	default:
		err = fmt.Errorf("no ceiling of %q", s.Task)
	}
	if err != nil {
		return err
	}
	if err := up.say(reply{Event: "done", Values: values}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

type bareReader struct {
	spec spec
	c    io.ReadWriter
	in   *bufio.Reader
}

func (r *bareReader) ask(what, n int) error {
	var request [16]byte
	binary.LittleEndian.PutUint64(request[:], uint64(what))
	binary.LittleEndian.PutUint64(request[8:], uint64(n))
	_, err := r.c.Write(request[:])
	return err
}

func (r *bareReader) bytes(n int) (time.Duration, error) {
	began := time.Now()
	if err := r.ask(bareBytes, n); err != nil {
		return 0, err
	}
	piece := make([]byte, barePiece)
	for n > 0 {
		got, err := r.in.Read(piece[:min(n, barePiece)])
		if err != nil {
			return 0, err
		}
		n -= got
	}
	return time.Since(began), nil
}

// demand keeps so many requests on their way as the case wants.
func (r *bareReader) demand(ctx context.Context) (map[string]float64, error) {
	times := make([]time.Duration, r.spec.Samples)
	starts := make([]time.Time, r.spec.Samples)
	room := make(chan struct{}, r.spec.Inflight)
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	group.Go(func() error {
		for n := range starts {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			starts[n] = time.Now()
			if err := r.ask(bareBlock, r.spec.Size); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		block := make([]byte, r.spec.Size)
		for n := range times {
			if _, err := io.ReadFull(r.in, block); err != nil {
				return err
			}
			times[n] = time.Since(starts[n])
			<-room
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	values := latencies(times)
	values["seconds"] = time.Since(began).Seconds()
	return values, nil
}

func (r *bareReader) visible() (map[string]float64, error) {
	if err := r.ask(bareAppends, 0); err != nil {
		return nil, err
	}
	times := make([]time.Duration, 0, r.spec.Samples)
	block := make([]byte, r.spec.Size)
	for n := range r.spec.Samples + r.spec.WarmCount {
		if _, err := io.ReadFull(r.in, block); err != nil {
			return nil, err
		}
		if n >= r.spec.WarmCount {
			times = append(times, time.Duration(monotonic()-int64(binary.LittleEndian.Uint64(block))))
		}
	}
	return latencies(times), nil
}
