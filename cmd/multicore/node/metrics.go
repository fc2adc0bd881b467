package node

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sys/unix"

	"multicore/cmd/multicore/control"
	"multicore/fs"
	"multicore/hypercore"
)

// metrics are served at /metrics of an address, and nothing else there. What
// happens often is counted where it happens, by whoever does it; those counts
// are only read when somebody asks. A nil *metrics does nothing.
type metrics struct {
	listener net.Listener
	registry *prometheus.Registry
	http     *http.Server
	served   chan struct{} // closed once serve's goroutine has ended; nil before

	operations *prometheus.HistogramVec
	errors     *prometheus.CounterVec
	byName     map[string]prometheus.Observer // of operations, so that no label is looked up
	flushes    prometheus.Histogram
	flushCores prometheus.Histogram
	flushFails prometheus.Counter
}

// operationNames are those of fs.Operation.
var operationNames = []string{
	"lookup", "getattr", "setattr", "readlink", "access", "open", "read", "write", "flush", "fsync",
	"release", "opendir", "readdir", "readdirplus", "statfs",
}

// listenMetrics takes the address; nil for "".
func listenMetrics(addr string) (*metrics, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &control.Error{Code: control.Other, Err: err, Text: "--metrics " + addr + ": another program listens there; stop it, or choose another port"}
	case err != nil:
		return nil, &control.Error{Code: control.Usage, Err: err, Text: "--metrics " + addr + ": " + err.Error() + "; want HOST:PORT of this machine"}
	}
	m := &metrics{listener: l, registry: prometheus.NewRegistry(), byName: make(map[string]prometheus.Observer)}
	m.operations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "multicore_fuse_operation_duration_seconds", Help: "Time until requests of the kernel were answered, waits for peers included.",
		Buckets: prometheus.ExponentialBuckets(10e-6, 4, 12),
	}, []string{"operation"})
	m.errors = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "multicore_fuse_errors_total", Help: "Requests of the kernel that were answered with an error.",
	}, []string{"operation", "error"})
	m.flushes = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "multicore_flush_duration_seconds", Help: "Time that it took to put what had gathered on the disk, sign it and commit the heads.",
		Buckets: prometheus.ExponentialBuckets(250e-6, 2, 14),
	})
	m.flushCores = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "multicore_flush_cores", Help: "Cores that were flushed together.",
		Buckets: prometheus.ExponentialBuckets(1, 4, 8),
	})
	m.flushFails = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "multicore_flush_failures_total", Help: "Cores that a flush did not get to the disk.",
	})
	m.registry.MustRegister(m.operations, m.errors, m.flushes, m.flushCores, m.flushFails,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, name := range operationNames {
		m.byName[name] = m.operations.WithLabelValues(name)
	}
	return m, nil
}

// registerer is for metrics of libraries; nil where nobody wants them.
func (m *metrics) registerer() prometheus.Registerer {
	if m == nil {
		return nil
	}
	return m.registry
}

// addr is where it listens.
func (m *metrics) addr() string { return m.listener.Addr().String() }

// serve answers until close, with what n does.
func (m *metrics) serve(n *Node) {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "multicore_build_info", Help: "1, with the version as a label.",
		ConstLabels: prometheus.Labels{"version": n.opts.Version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build, &collector{n})
	n.store.Flusher().OnRound(m.round)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.GathererFunc(m.gather), promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(n.log.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: 4,
	}))
	m.http = &http.Server{
		Handler: mux, MaxHeaderBytes: 16 << 10,
		ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 5 * time.Minute,
		ErrorLog: log.New(io.Discard, "", 0), // only ever about broken clients
	}
	m.served = make(chan struct{})
	go func() {
		defer close(m.served)
		m.http.Serve(m.listener)
	}()
}

// gather is all that is registered, but the few of go-libp2p whose names break
// the conventions, and would say that they are something else than they are.
func (m *metrics) gather() ([]*dto.MetricFamily, error) {
	all, err := m.registry.Gather()
	return slices.DeleteFunc(all, func(f *dto.MetricFamily) bool {
		name := f.GetName()
		total := strings.HasSuffix(name, "_total")
		return strings.HasPrefix(name, "libp2p_") &&
			(total != (f.GetType() == dto.MetricType_COUNTER) || strings.HasSuffix(name, "_count"))
	}), err
}

// close ends serve, after the answers that are under way.
func (m *metrics) close() {
	switch {
	case m == nil:
	case m.served == nil:
		m.listener.Close()
	default:
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if m.http.Shutdown(ctx) != nil {
			m.http.Close()
		}
		<-m.served
	}
}

// operation is fs.Options.Observe.
func (m *metrics) operation(o fs.Operation) {
	if by := m.byName[o.Name]; by != nil {
		by.Observe(o.Took.Seconds())
	} else {
		m.operations.WithLabelValues(o.Name).Observe(o.Took.Seconds())
	}
	if o.Errno != 0 {
		name := unix.ErrnoName(o.Errno)
		if name == "" {
			name = "other"
		}
		m.errors.WithLabelValues(o.Name, name).Inc()
	}
}

// round is told of each flush.
func (m *metrics) round(r hypercore.Round) {
	m.flushes.Observe(r.Took.Seconds())
	m.flushCores.Observe(float64(r.Cores))
	m.flushFails.Add(float64(r.Failed))
}
