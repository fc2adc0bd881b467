// Package corestore is a directory of named cores behind one primary key.
//
//	primary-key      64 hex digits and a newline: the secret that all own keys are derived from
//	multicore.db     records: names, keys, heads, settings
//	cores/           the files of each core
//	lock             locked (flock) by the process that has the store open, with its pid
//
// Directories are made with mode 0700, files with mode 0600.
//
// # Names and keys
//
// The key pair of a named core is derived from the primary key, a Namespace and
// the name (section 5 of the Hypercore 11 specification). The first opening of
// a name records it as an alias of the key, so that the key can be found by
// name, and the name by key. A core that is opened by key alone is a replica,
// and is recorded too. So a Store knows the key of each core that it holds by
// its discovery key, and looks up one record for that, never all.
//
// # Sessions
//
// A core is open once, however many ask for it: each gets a session, and the
// last Close unloads it.
//
// # A store that is made from a primary key
//
// The cores of a primary key may have grown elsewhere. A new log under an old
// key would fork it. So such a store is marked as held, durably and before its
// key is in place; each writable core that is made in it is held
// (hypercore.Options.Hold) until a peer has answered for it, or Release is
// called.
//
// # Making a store
//
// The primary key is written under another name and synced, its fingerprint
// recorded in the database together with the mark above, then renamed. Whatever
// a crash leaves of that is completed or begun anew by the next Open; a
// database with a fingerprint and no primary key that fits is refused.
//
// # Removing cores
//
// Purge drops the records of replicas and marks them as purged in one
// transaction, then removes their files and the marks. Open finishes what a
// crash cut off.
package corestore
