// Package corestore is a directory of named cores behind one primary key.
package corestore

import (
	"errors"
	"log/slog"

	"multicore/hypercore"
	"multicore/hypercore/storage"
)

var (
	ErrNoStore  = errors.New("no store")
	ErrInUse    = errors.New("store is in use by another process") // the holder's pid in the wrapping text
	ErrNewer    = storage.ErrNewer
	ErrNotFound = errors.New("no such core")
)

type Options struct {
	Create     bool
	PrimaryKey *[32]byte // only while making the store: marks it as held (design section 5, invariant 6)
	Log        *slog.Logger
}

// Store holds a directory: primary-key, multicore.db, cores/, and the lock. Safe for concurrent use.
type Store struct{}

func Open(dir string, o Options) (*Store, error) { panic("skeleton") }
func Exists(dir string) bool                     { panic("skeleton") }
func (s *Store) Dir() string                     { panic("skeleton") }
func (s *Store) Close() error                    { panic("skeleton") }
func (s *Store) Flusher() *hypercore.Flusher     { panic("skeleton") }

// Namespace (spec 5); the zero value is the root.
type Namespace [32]byte

func (n Namespace) Sub(name string) Namespace { panic("skeleton") }

// Core is a session on a shared open core; Close ends the session, the last one unloads the core.
type Core struct {
	*hypercore.Core
}

func (c *Core) Close() error { panic("skeleton") }

// OpenName opens the writable core of a name, making it at first use. Unheld is hypercore.Options.Unheld.
func (s *Store) OpenName(ns Namespace, name string, unheld uint64) (*Core, error) { panic("skeleton") }
func (s *Store) HasName(ns Namespace, name string) bool                           { panic("skeleton") }

// OpenKey opens a core by key: writable where it is one of ours, else a replica, made at first use.
func (s *Store) OpenKey(k hypercore.Key) (*Core, error) { panic("skeleton") }

// OpenDiscovery opens a core that is held here already; ErrNotFound.
func (s *Store) OpenDiscovery(d hypercore.DiscoveryKey) (*Core, error) { panic("skeleton") }
func (s *Store) Key(d hypercore.DiscoveryKey) (hypercore.Key, bool)    { panic("skeleton") }

// Release ends every hold, now and for cores yet to come (--no-peers).
func (s *Store) Release() error { panic("skeleton") }

// View and Update reach opaque buckets for packages above (followed keys, settings) in the store's transactions.
func (s *Store) View(fn func(storage.Tx) error) error   { panic("skeleton") }
func (s *Store) Update(fn func(storage.Tx) error) error { panic("skeleton") }

// Setting and SetSetting keep small values by name.
func (s *Store) Setting(name string) ([]byte, error)        { panic("skeleton") } // nil where absent
func (s *Store) SetSetting(name string, value []byte) error { panic("skeleton") }
