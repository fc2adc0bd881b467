// Package storage keeps what cores are made of: one bbolt database of small
// records for a whole store, and for each core two files.
//
//	multicore.db                     records, in buckets named by the packages above
//	cores/<discovery key>/blocks     block bytes, each at its byte offset in the log
//	cores/<discovery key>/tree       nodes of 40 bytes, each at 40 times its flat tree index
//
// A node in `tree` is 8 bytes, little-endian, for its size (53 bits) and a sum
// over the whole (the 11 bits on top), then its hash (32 bytes). Where the sum is
// wrong, as in a hole or in a node that a power cut tore, the node is not
// stored. Directories are made with mode 0700, files with mode 0600.
//
// # What is durable when
//
// A write to Files has reached the kernel when the call returns: it survives
// the end of the process, not that of the machine. Files.Sync puts it on the
// disk. Store.Update is on the disk when it returns nil. Nothing orders the two
// but the caller, who syncs files before it commits records that speak of them.
//
// Nodes given to Files.DeferNodes are in memory alone until the next Sync, or
// until there are many: they may be lost with the process.
//
// # Failed syncs
//
// After a failed fdatasync the kernel holds pages that it believes to be clean
// and the disk does not have. Trying again would succeed and prove nothing. So
// the failure is kept: each later Files.Sync gives it again, as ErrFailed with
// the first cause, and the cached pages are given up, so that reading shows
// what the disk has. The owner reads the files anew, decides what is left of
// the core, and calls Files.Reopen. A failed commit of the database is final
// for the Store.
//
// # Descriptors
//
// Descriptors of core files come from a bounded cache and are opened at the
// first use. A descriptor in use is never closed. The kernel may forget a write
// error that no descriptor of the file is left to report, but not towards one of
// the file system (syncfs, since Linux 5.8): where a descriptor was closed with
// unsynced writes the next Sync of its core is one of the whole volume, and a
// failure of that is one of all cores that had something to lose. On an older
// kernel it is synced before it is closed.
//
// # Many cores
//
// SyncAll of many cores syncs the volume once, so that ten thousand new cores do
// not wait for the disk thirty thousand times. It writes what others have put on
// that volume too.
//
// # Node cache
//
// Stretches of tree files that are read stay in memory, at most 20 MiB for the
// whole store. Writes go to the file first and then to the stretch, so what is read is
// what the file has; who changes a file otherwise calls Files.Reopen. After a
// failed sync the file is read each time.
package storage
