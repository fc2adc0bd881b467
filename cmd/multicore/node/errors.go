package node

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"multicore/cmd/multicore/control"
	"multicore/corestore"
	"multicore/corestore/multicore"
	"multicore/fs"
	"multicore/hypercore"
	"multicore/p2p"
)

// storeError says what to do about a store that cannot be opened.
func storeError(dir string, err error) error {
	switch {
	case errors.Is(err, corestore.ErrNoStore):
		return &control.Error{Code: control.NotFound, Err: err,
			Text: fmt.Sprintf("no store in %s; make one with: multicore init, or name another with --store", dir)}
	case errors.Is(err, corestore.ErrInUse):
		return &control.Error{Code: control.InUse, Err: err, Text: err.Error()}
	case errors.Is(err, hypercore.ErrDamaged):
		return &control.Error{Code: control.Verify, Err: err, Text: err.Error()}
	}
	return coded(err)
}

// coded gives err the exit code that its cause has; nil stays nil.
func coded(err error) error {
	if err == nil {
		return nil
	}
	var known *control.Error
	if errors.As(err, &known) {
		return err
	}
	return &control.Error{Code: codeOf(err), Text: err.Error(), Err: err}
}

func codeOf(err error) control.Code {
	switch {
	case errors.Is(err, hypercore.ErrConflict), errors.Is(err, hypercore.ErrTruncated):
		return control.Verify
	case errors.Is(err, context.Canceled):
		return control.Interrupted
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, hypercore.ErrNoPeers):
		return control.Timeout
	case errors.Is(err, hypercore.ErrBadProof), errors.Is(err, hypercore.ErrDamaged):
		return control.Verify
	case errors.As(err, new(*p2p.OptionError)), errors.Is(err, multicore.ErrBadName), errors.Is(err, multicore.ErrNameTaken), errors.Is(err, multicore.ErrOwn):
		return control.Usage
	case errors.Is(err, hypercore.ErrReadOnly):
		return control.ReadOnly
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return control.DiskFull
	case errors.Is(err, fs.ErrUnavailable), errors.Is(err, fs.ErrMounted), errors.Is(err, fs.ErrNotEmpty), errors.Is(err, fs.ErrMount), errors.Is(err, fs.ErrAllowOther):
		return control.FUSE
	case errors.Is(err, multicore.ErrNoMulticore), errors.Is(err, hypercore.ErrPastEnd), errors.Is(err, corestore.ErrNotFound):
		return control.NotFound
	}
	return control.Other
}

// noPeer is the line for a key that nobody was found to have.
func (n *Node) noPeer(key hypercore.Key, waited time.Duration) error {
	dht := "no network"
	if n.net != nil {
		st := n.net.Status()
		if st.DHT == "off" {
			dht = "DHT off"
		} else {
			dht = fmt.Sprintf("DHT table %d, asked %d", st.RoutingTable, st.Asked)
		}
	}
	return &control.Error{Code: control.Timeout, Err: hypercore.ErrNoPeers,
		Text: fmt.Sprintf("no peer has %s (%s, %d s)", key, dht, int(waited.Round(time.Second).Seconds()))}
}
