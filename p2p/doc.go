// Package p2p finds peers with libp2p and gives their streams to a
// replicate.Swarm. It is the only package that imports libp2p.
//
// # Parts
//
// A [Node] is a libp2p host with a lasting identity, one replication stream
// per connected peer, and loops that look for peers of the cores it was asked
// to [Node.Join]. A core is looked for by its discovery key, which tells
// nothing about the key that opens it; peers prove the key to each other on
// the stream, in package replicate.
//
// # Streams
//
// Two peers hold one stream of [Protocol], which carries all cores. The peer
// whose id is lower (raw multihash bytes, compared bytewise) opens it as soon
// as identify says that the other speaks the protocol; the higher one opens
// one only if none came for a moment. Of two streams both ends keep the one
// that the lower id opened, so they agree without a word. A stream that ended
// while the connection lives is opened again, ever more slowly.
//
// Each side first sends 32 random bytes without waiting for the other's. The
// handshake hash, to which capabilities are bound, is
//
//	BLAKE2b-512("/multicore/hypercore/1" || lower id || higher id
//	            || lower's random bytes || higher's random bytes)
//
// and the lower id is the initiator, whoever dialled or opened. libp2p has
// encrypted and authenticated the connection already.
//
// # JavaScript peers
//
// They speak Hypercore's own encrypted stream over plain TCP, package
// secretstream: no libp2p, no discovery. A node listens for them and keeps a
// stream to the addresses it was given; the side that dialled is the initiator.
// Each such stream is a peer of its own. Connections are bounded in all, by
// address and in the handshake; an address that misbehaved is refused for some
// minutes.
//
// # Discovery
//
// All at once: provider records in kad-dht, under the CIDv1 with codec raw and
// a multihash of code blake2b-256 whose digest is the discovery key itself;
// mDNS on the local network; a meeting place in the file system for processes
// of one user on one machine; the addresses given as bootstrap and peers; and
// the last peers that proved a core.
//
// # When the network goes
//
// The kernel says when a link, an address or a route comes or goes. Connections
// that nothing can come through any more are closed at once, and whatever waits to
// dial or to search begins anew. A peer that falls silent, while the network looks
// as it did, is pinged, and dropped if it does not answer: a few seconds after it
// was asked for something, or after it should have sent a sign of life.
//
// # Trust
//
// Everything that peers say is bounded: streams and connections by libp2p's
// resource manager, found addresses by the number of dials, files of the
// meeting place by owner, type and size. A peer that misbehaved on its stream
// is refused at the door for some minutes.
package p2p
