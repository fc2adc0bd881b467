// Package node joins a store, its peers and its mounts into one running
// process, and does for commands what control.Service asks.
//
// A Node owns everything that it starts, in this order: the store (and with it
// the lock), the swarm, the own multicore and the followed ones, the libp2p
// host. Close ends them in the opposite order, mounts first, so that what was
// written through a mount is flushed while the store is still there.
//
// A multicore of another store is open while somebody needs it: a read, a
// follow, or a mount in which its directory was looked up. All of them share
// one multicore.Remote; the last one to release it closes it.
//
// A process that runs no short command is watched: now and then a watchdog looks
// whether the store still answers, from outside of what may hang, and tells the
// log, Status and whoever supervises the process (Watch). A Status waits for a
// store that hangs for a few seconds, and then goes without.
package node
