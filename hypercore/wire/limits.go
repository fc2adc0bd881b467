package wire

import "time"

// Limits and constants of the protocol (spec 16).
const (
	// MaxFrame is the largest frame in bytes, as encrypted.
	MaxFrame = 1<<24 - 1

	// MaxPlaintext is the largest frame before encryption.
	MaxPlaintext = MaxFrame - 17

	// MaxNodes is the largest number of nodes in one list of a proof.
	MaxNodes = 1024

	// BatchSize is how large JavaScript lets a batch become before it sends it.
	BatchSize = 8 << 20

	// MaxParked is how many bytes JavaScript keeps of messages to a channel that
	// is not open on its side yet, each counted with ParkedOverhead more.
	MaxParked      = 32768
	ParkedOverhead = 512

	// KeepAlive is the silence after which a peer sends an empty plaintext.
	KeepAlive = 5 * time.Second

	// MaxInFlight is the number of requests that JavaScript has in flight with
	// one peer over TCP; MaxHotswaps is how many of them may be under way
	// elsewhere too.
	MaxInFlight = 48
	MaxHotswaps = MaxInFlight / 2

	// WantWindow is the number of blocks that JavaScript asks about in one want,
	// and the largest allowed. MinWant is the smallest.
	WantWindow = 1 << 21
	MinWant    = 32

	// MaxWants is the number of windows that JavaScript wants at a time,
	// MaxAnyWants the number of ranges with the flag any that it keeps.
	MaxWants    = 512
	MaxAnyWants = 16

	// MaxNoData is the number of noData answers with a reason after which
	// JavaScript asks a peer nothing more; MaxInvalid is the number of invalid
	// requests after which it destroys the stream.
	MaxNoData  = 32
	MaxInvalid = 64
)
