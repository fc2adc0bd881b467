// Package fs shows multicores as a directory.
//
//	mnt/
//	  append            write: messages, routed by length
//	  key               main core key, hex, newline
//	  status.json       the state of the process
//	  main/  core-2/  core-3/ ...
//	    log             all blocks, concatenated
//	    follow          like log, but a read at the end waits for more
//	    blocks/0 1 2 …  one file a block
//	    append          write: straight into this core
//	    key  discovery-key  length  byte-length  info.json
//	  <key>/            another multicore, read-only, the same tree
//	  <own key>         symbolic link to the root
//	  <name>            symbolic link to <key>, for a followed key with a name
//
// The root is the own multicore, or one remote one. Looked up but not listed:
// core-1, which is main; N in the directory of a core, which is blocks/N;
// blocks/last, a link to the newest block; and a
// key in upper case or z-base-32, which is a link to the same in lower-case hex.
// A <key> is listed once something in it was opened. Append files are there only
// in the own multicore; everything else cannot be changed, also not by root, and
// says EROFS (or EACCES, for reading an append file).
//
// # Who waits when
//
// A lookup never waits, because the kernel makes a second lookup of the same
// name wait for the first in a way that cannot be interrupted. Where it is not
// known whether a name is there, the lookup gives a node which finds out when it
// is used: open, stat, access and listing wait for what they need, each for
// itself.
//
//   - What was learned before answers at once, from what is stored here.
//   - A core other than main waits for block 0 of main, which names it.
//   - log, follow, blocks, length, byte-length, info.json and the listing of a core
//     wait until its length was learned. An unknown log is never shown as an empty one.
//   - stat of a block whose size is not known here asks a peer for that one node
//     of the tree, for two seconds at most, and fails at once where no peer is
//     connected.
//   - Opening a block that is not here fetches it; so does reading log, for the
//     blocks that are read. A block that is open and was cleared here meanwhile is
//     ESTALE where the kernel remembers nothing of it: reads through the kernel's
//     cache could not be interrupted. Pages of a mapped log are waited for all the
//     same; what then ends the wait at once is a signal that ends the program.
//
// A wait ends after Options.ReadTimeout with ETIMEDOUT, or EHOSTUNREACH where no
// peer was ever reached; with EINTR when the program gets a signal; with ENOTCONN
// when the mount ends. Bytes that fail verification are EIO.
//
// # Following
//
// A read at the end of follow waits for more as long as it takes, unless it was
// opened with O_NONBLOCK: then it is EAGAIN. It ends as other waits do, with
// ESTALE once the writer truncated the log, and with EIO where nothing can come
// any more. What comes is fetched as by a read of log. follow has the size of log,
// for programs that go by it.
//
// # Appending
//
// Each open append file is a [multicore.Framer]. A write appends the whole
// messages in it before it returns. The rest of a message waits in the handle for
// its end, an fsync, the last close, or a close by the process that opened the
// handle. Processes that inherited the handle close it too; that is ignored.
// Offsets and truncation mean nothing. fsync returns when everything is on the
// disk. With framing by write, a write is refused with EMSGSIZE if the kernel may
// have cut it; it cuts at 1 MiB, and one writev(2) at 256 pieces.
//
// # What the kernel may remember
//
// Names of what exists, and size and bytes of blocks, which never change. Nothing
// of <name>, last, log, follow, length and the like: log is read with direct I/O,
// so that a read sees the present end and can be interrupted, and its size is asked
// anew each time, as tail -f needs. A memory mapping of log is in the page cache all the same: when
// the log grows or shrinks the kernel is told to drop the pages that are not right
// any more. A mapping that reaches beyond the end shows what is new once the size
// was asked, by fstat or the like.
//
// # Logs that the kernel reads by itself
//
// The log of an own core that holds all of it, unencrypted, has its bytes in one
// file of the store, and where the kernel may (Linux 6.9, mounted by root) it
// reads that file itself (FUSE passthrough), as fast as any. It reads to the end
// of the file, which is that of the log: the core lends the file
// ([hypercore.Backing]), and from then on nothing gets into it that an append
// which is refused would have to take back, and the size that stat shows is never
// less than what was read. What is cleared stays in the file until nobody has it
// open or mapped. A mount that was unmounted lazily reads on through the kernel.
//
// Other logs it asks us for; of a read of 32 KiB or more it gets the pages of the
// store's file through a pipe rather than a copy, and they stay there until it has
// them.
//
// The kernel wants one file for all handles of a log, so the first handle decides
// and the others join it; those that come when the core has holes read through
// us. Where the core adopts a head that was signed elsewhere, an old copy of an
// open log ends at the place where the two part; it is to be opened anew.
//
// The kernel keeps names and blocks until it is short of memory. That costs nothing
// here: blocks have no inodes of go-fuse (see blockServer), only a bit each, so that
// they can be taken back where the writer truncates.
//
// Inode numbers come from the path and are the same in the next mount. Blocks have
// no time and show the epoch; log, length, byte-length and directories of a core
// show when it last grew; the root when a name in it came or went; everything else
// the time of the mount.
//
// # Mounting
//
// Root mounts by mount(2); others need fusermount3. A mount left by a process that
// died is cleared, a live one is refused. Only this package imports go-fuse.
//
// Nobody but who mounts can use a mount, not even root. With Options.AllowOther
// everybody can, as far as the kernel finds that owner and mode bits allow it
// (default_permissions); what cannot be changed stays so for root as well.
//
// A program must not read its own mount on its last free thread, as any user of
// FUSE; package go-fuse/fs names the deadlocks.
package fs
