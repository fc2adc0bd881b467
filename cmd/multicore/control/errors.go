package control

import "errors"

var (
	// ErrNoServer: nobody serves the control socket of this store.
	ErrNoServer = errors.New("no process serves this store")
	// ErrGone: the process that held the store stopped serving it during the
	// call, or, where the error is ErrNoServer too, before it.
	ErrGone = errors.New("the process that held the store is gone")
)
