// Package hypercore is one core: a signed, append-only log of blocks, held here
// as a whole or in part.
//
// # Words
//
// A core is named by its key, which is the right to read it; its discovery key,
// a hash of the key, is what may be shown to anyone. A manifest says who may
// sign; it hashes to the key. Block i is entry i; the length is the number of
// blocks, the byte length that of their bytes. The fork counts truncations.
//
// An own core is one that is written here, with the key pair of its signer. A
// replica is anybody else's: a head that was verified, and those blocks and tree
// nodes that were fetched. Both are a Core; Writable tells them apart. The
// blocks of a core that are on this machine are held. The contiguous length
// counts the held ones from block 0 on.
//
// # States
//
// What this machine sees at once and what peers may see differ for an own core.
// Info shows the first: blocks are readable here as soon as Append returned.
// Head is the second: a length, its tree and the signature over it. Prove,
// Missing and Apply, which replication uses, work on Head alone.
//
// A core may be held back: with Options.Hold, nothing beyond Options.Unheld
// blocks is signed until Release, because this store may be an old copy and
// another one may have signed other blocks for the same indexes. Appends and
// flushes work meanwhile. When a peer shows a longer head, which only the own
// key can have signed, Apply adopts it, and what was appended here moves behind
// it.
//
// # Forks
//
// Truncate makes an own core shorter and raises its fork. A replica follows with
// Reorganise: it verifies the signed head of the higher fork by itself, keeps the
// blocks that both forks have in common and drops the rest. A lower fork is never
// taken, and nothing that is not signed for its fork changes anything.
//
// Where a key has signed two different logs of one fork, CheckConflict freezes
// the core: what is here can be read, everything else is ErrConflict. Conflict has
// both signed heads.
//
// # Reading
//
// Get, Seek and ReadAt fetch what they need from the Source, which package
// replicate sets, and Download what will be needed. A Snapshot stays as long as it
// was, and its Reader is what io wants. Block, Has and LocalExtent never ask
// anybody.
//
// # Durability
//
//   - When Append returned, its blocks survive the end of the process, kill -9
//     included. A batch, over several cores with AppendAll, is there wholly or
//     not at all; where the process dies before Append returned, a part of the
//     batch from its beginning may be there.
//   - When Flush returned, they survive a power cut. A Flusher does this in the
//     background for all cores of a store: it starts with the first append and
//     takes what gathered meanwhile, with one signature a core and one
//     transaction for all.
//   - A head is signed only after its blocks and nodes are on the disk, and
//     shown only after it is recorded. So no crash makes a core sign two blocks
//     for one index.
//   - A sync that fails is not tried again. The core answers ErrFailed, with the
//     errno in the chain, until it was closed and opened anew. An append that
//     finds the disk full leaves the core as it was and usable.
//   - Open trusts no more than the recorded head. Of an own core it keeps what
//     lies beyond as far as bytes and leaves agree, and cuts the rest, nodes that
//     span the cut included. It says in the log what it cut. A *DamageError is
//     about what should be there below the head; then nothing was changed. What
//     a replica lacks is fetched again.
//   - Truncate, Install of a Reorganisation and a conflict are on the disk when
//     they return; dying meanwhile leaves the old state or the new one. What was
//     dropped is cut out of both files before anything is written in its place.
//   - What came from a peer is written only after it was verified.
//
// # Storage
//
// Block bytes and tree nodes are in the two files of the core, records in five
// buckets of the store's database, by discovery key: "core" (key, manifest,
// hold), "head" (the durable state), "bitfield" (pages of 32,768 bits, only at
// and after the contiguous length: a whole core has none), "conflict" (the two
// heads of a frozen core) and "user" (what users keep with a core, by name).
// record.go draws their bytes.
//
// Sections named in comments are those of the Hypercore 11 specification.
package hypercore
