package replicate

import (
	"time"

	"multicore/hypercore/wire"
)

// What a peer may make us hold or do. Whatever is beyond is refused, and the
// peer dropped where an honest one never gets there.
const (
	flushAt = 256 << 10 // messages are gathered up to this size, then sent
	aloneAt = 32 << 10  // a block of this size travels in a frame of its own

	maxChannels  = 1 << 15 // open channels of one peer
	maxRefusals  = 1 << 14 // opens in a row that we reject, refilled slowly
	refillEvery  = time.Second / 16
	maxControl   = 8 << 20          // bytes queued towards a peer, answers aside
	maxQueued    = 1 << 15          // requests of one peer waiting for their answer
	maxInvalid   = wire.MaxInvalid  // requests that no prover could answer
	maxPushes    = 64               // data under request id 0, which we never ask for
	maxProofs    = 4                // proofs of a conflict that nobody asked for, on one channel
	maxWindows   = wire.MaxWants    // want windows kept for one channel
	maxPeerWants = 1 << 14          // want windows kept for one peer
	maxAny       = wire.MaxAnyWants // of them with the flag any
	maxPages     = 1024             // pages of 32,768 bits on what one peer has
	maxDenied    = wire.MaxNoData   // blocks a peer announced and then had not, until it rests
	maxReopens   = 8                // times we open a core again that the peer closed

	maxSignature = 64 << 10 // bytes; what lies behind the proofs in it is kept and sent on

	wantWindow    = wire.WantWindow // blocks in a want of ours
	surveyWindows = 64              // windows of a download that a peer is asked about at a time
)

// How much we ask of one peer at a time.
const (
	windowRequests = 512
	windowBytes    = 8 << 20
	windowFirst    = 64 << 10               // bytes, before an answer came
	windowLeast    = 64 << 10               // bytes
	windowTime     = 100 * time.Millisecond // of answers that are asked for at a time
	windowReads    = 64                     // more, for reads that somebody waits for
	requestCost    = 256                    // bytes that a request counts for beside its block
	bestFor        = 30 * time.Second       // the shortest latency counts
)

// When a peer counts as slow, silent or gone.
const (
	keepAlive   = wire.KeepAlive    // silence of ours that an empty frame ends
	idleTimeout = 60 * time.Second  // silence of theirs, or a frame that hardly moves, that ends the stream
	silence     = 2 * keepAlive     // of a peer that may be gone,
	dueAfter    = 2 * time.Second   // where it was asked for something
	stallAfter  = 5 * time.Second   // no answer and no bytes: requests move on
	silentAfter = 30 * time.Second  // no answer, though bytes come that can be none
	moveAfter   = 10 * time.Second  // a read or an upgrade is not answered, and others can
	skipAfter   = 2 * time.Second   // a block is not answered, and later requests are
	giveUpAfter = 120 * time.Second // a request is not answered, but later ones are, or others can
	progress    = 1 << 10           // bytes in stallAfter that may be part of an answer
	lateFor     = 256               // answers that make up for one failure
	restFirst   = 5 * time.Second   // a slow peer is asked nothing for this long,
	restMost    = 2 * time.Minute   // twice as long each time, at most this
	diskPause   = 5 * time.Second   // a core that the disk did not take is not fetched
	tickEvery   = 500 * time.Millisecond

	compareEvery = 30 * time.Second // a peer is asked for a head of its own no more often
)

// When a block is asked of a second peer.
const (
	hedgeAfter    = 200 * time.Millisecond // it would take that much longer from the first
	maxHedges     = 16                     // under way at one peer
	hedgeTries    = 8                      // requests of one peer for which nobody is found, until the next tick
	overtakeAfter = 20 * time.Millisecond  // the same, of a block that a peer has just got
	maxOvertake   = 64                     // blocks of one announcement that are looked at
)
