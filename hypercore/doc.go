// Package hypercore is one core: a signed, append-only log of blocks, kept here
// as a whole (an own core) or in part (a replica).
package hypercore
