// Package replicate exchanges cores with peers over framed streams (spec 11 to
// 14; sections are those of the Hypercore 11 specification).
//
// # Use
//
// A Swarm joins the cores of a process with its peers:
//
//	s := replicate.New(replicate.Options{Directory: store})
//	a := s.Attach(core, replicate.AttachOptions{Download: true})
//	err := s.Serve(ctx, replicate.Conn{Stream: stream, ...}) // once per peer
//
// An attached core is opened towards the peers, announces what it holds, serves
// it, takes longer heads from peers and fetches what Core.Get and the like lack.
// A core of the Directory that is not attached is served to a peer that opens
// it, while that peer keeps it open.
//
// A download may be narrowed (Selection): to the newest blocks, a window that
// moves with the end, and by blocks that were cleared. What is left out is asked
// for only where somebody reads it.
//
// CorePeers, FullReplicas and Sources count the peers that have something; LastCame
// and NotStored tell a download that goes on from one that has stalled.
//
// # Who learns what
//
// Opening a core on a stream takes its discovery key and a capability, which
// only somebody who knows the core key can make, and for this stream alone. A
// peer that opens a core that we do not have, and one that shows a wrong
// capability, get the same reject and nothing else, ever. We open cores
// attached with After only towards peers that proved one of the cores After.
//
// # Inside
//
// The machine holds peers, channels, what each peer has and what is under way,
// as a state machine without goroutines, clock or I/O; events go in as calls
// with the time. Three goroutines drive each stream: one reads frames, takes
// them apart and hashes the blocks in them, the second gives the messages of a
// frame to the machine together and the proofs among them to the core, the third
// sends what the machine wants sent and proves what the peer asked for. The
// first two never wait for the third. All share one machine
// and one lock, under which a core is asked only for what it has in memory, so
// that a block is asked of one peer at a time, the last of a slow one aside.
//
//	peer -> conn.read -> wire -> machine.receive -> work -> Core.ApplyAll -> machine.appliedAll
//	Core events -> machine.moved                         Core.Get -> machine.fetch
//	machine.next, machine.nextServed -> sender -> Core.Prove -> wire -> peer
//
// Answers for several cores in one frame are given to them side by side, those for
// one core in order. An attached core that nothing happens to costs memory alone: no
// goroutine, no timer, and the clock does not look at it.
//
// What a channel has to say about its state is put into words only when the
// stream takes it, so a burst of appends becomes one sync. The first new block of
// a log that is downloaded, or read to its end, comes along with the longer head
// (carry.go). Downloads of small blocks ask for no node twice, though many are
// under way (lean.go).
//
// # Who is asked for what
//
// What somebody waits for comes first, then what a sequential reader will want
// next (Core.ReadAt and Get say so through Ahead), then downloads: of whole
// cores, and of ranges (Core.Download). While every peer has everything,
// blocks are downloaded in order. Where some peer lacks blocks, those that the
// fewest peers have come first, drawn among equals in runs of about 64 KiB, page
// by page of 32,768 blocks (plan.go): so the readers of one writer fetch
// different blocks, and give them to each other. What a peer announces that is
// under way from one with a long queue is fetched from it, and cancelled there.
// Options.Seed makes the draws the same in every run.
//
// A peer has so much under way as it delivers in a tenth of a second and two of
// its latencies (window.go), at least 64 KiB and at most 8 MiB or 512 requests;
// time comes in with the events. Reads go to the peer that will answer first.
// A block that is long in coming is asked of a second peer that has time, and
// the first to answer ends the other request (hedge.go). A peer that answers
// nothing rests, longer each time, and is then asked for one block at a time;
// one that skips blocks while it answers others loses them within seconds, and
// is asked after others until it has made up for it.
//
// Peers are asked what they have of 64 windows of 2,097,152 blocks at a time,
// of the next ones as windows are held whole or have nothing more (wants.go).
//
// # Limits
//
// Options may limit the bytes a second that all streams together send or take.
// A Meter on each stream waits for its turn, slice by slice, so that streams
// share a limit evenly. A reader that is limited reads more slowly, and what is
// not read stays with the sender; the time that our own limit takes, or our disk,
// is not held against a peer. Within a stream a message waits for those before
// it, which are a frame of a block, or a quarter of a second's worth of others.
//
// # Forks
//
// A peer with a higher fork is asked for its head, from the beginning, and then
// for the paths that show which blocks stay (reorganise.go). Nothing changes
// before the whole has verified; a lower fork is ignored.
//
// A proof that does not hold may come from an honest peer, where a key has signed
// two logs of one fork. Such a peer is asked for its head under request id 0, and
// blamed only where that shows no conflict (conflict.go). So is a peer, at no risk,
// that comes with a head no longer than ours which this stream has not carried: two
// copies of a writer are found out though nobody lacks anything. A core in conflict
// is frozen: each peer of its fork gets both heads, the channels are closed, and no
// peer has it opened again.
//
// # Simulation
//
// The tests run networks of up to 50 hosts from a seed, in virtual time and with
// real cores: latency, limited uplinks, lost connections, partitions, hosts that
// leave, crash and lose power, writers that truncate. The same seed gives the
// same frames at the same times. 20 seeds are part of every run of the tests;
// more, and one seed with all that happened in it, are
//
//	go test ./hypercore/replicate -run TestSimulation -sim.seeds=1000 -timeout 2h
//	go test ./hypercore/replicate -run TestSimulation/7$ -sim.seed=7 -v
//
// # Trust
//
// Nothing of a peer is stored that Core.Apply did not verify. Answers must fit
// requests. All that a peer can make us hold is bounded (limits.go); a peer that
// exceeds the bounds, talks nonsense or sends a proof that does not hold is
// dropped with ErrMisbehaved and one line in the log.
package replicate
