// Package multicore keeps several cores behind one key: a main core, whose
// block 0 holds the keys of the others.
//
// # The own multicore
//
// OpenOwn opens the cores named core-1, core-2 and core-3 of a store's root
// namespace. core-1 is main; its block 0 is compact JSON without a newline,
//
//	{"otherKeys":["<64 hex digits of core-2>","<64 hex digits of core-3>"]}
//
// 149 bytes, written once. Main's key is the only one that is shared and main's
// discovery key the only one that is announced: the other cores are opened
// towards a peer only after it proved that it knows main.
//
// Own.Append sends each message to core-2 where it is shorter than five bytes
// (its newline counts) and to core-3 otherwise. Order holds within a core.
//
// # Messages out of bytes
//
// A Framer is one open handle: it cuts the bytes that are written to it into
// messages. All whole messages of one Write are one batch, appended before
// Write returns, wholly or not at all; what follows them waits for its end.
// Framing says where a message ends.
//
//	ByLine    after each newline, which is kept; an empty line is a message
//	ByWrite   each Write is one; one of MaxWrite bytes is refused, as the kernel
//	          may have cut it out of a larger one
//	ByClose   only at End
//	BySize    after each Size bytes; all go to core-3, so that a short rest is
//	          not parted from what it ends
//
// End ends a message in every mode. A message that is longer than MaxMessage is
// ErrTooLong: nothing of that Write is stored, the part that waited is dropped,
// and what is written is refused until a Write that ends with the end of a
// message, or until End. Where the kernel may have cut the Write out of a larger
// one, whose caller then sees a short count in place of the error and writes the
// rest again, that is refused as well. A message whose end could not be stored,
// as on a full disk, waits for that end to be written again; End drops it. So no
// part of a line is ever stored as if it were the whole.
//
// # Somebody else's
//
// OpenRemote takes a main key alone. The other cores are learned from block 0,
// fetched as soon as a peer has it, and are named core-2, core-3 and so on in
// its order. A block 0 that names no cores, or breaks a bound (see ParseIndex),
// leaves main alone, so any Hypercore can be opened.
//
// # Following
//
// List, Follow and Unfollow keep the keys of which a store holds a whole copy.
// They only keep the list; whoever runs the store downloads (SetDownload), as
// much as Keep says (SetKeep). What the user cleared of a followed multicore is
// recorded with it, and left out of the download.
//
// # What was only read
//
// Cache bounds the room of all that is held and not kept, and clears what was
// read longest ago. Purge removes a multicore from the store.
package multicore
