package fs

import "errors"

var (
	// ErrUnavailable is when the machine does not let us use FUSE; its text says what to do.
	ErrUnavailable = errors.New("FUSE is not available")
	// ErrNotEmpty is when the mountpoint has files, which the mount would hide.
	ErrNotEmpty = errors.New("mountpoint is not empty")
	// ErrMount is when mounting failed in another way, as with a mountpoint that
	// the user may not write to.
	ErrMount = errors.New("cannot mount on")
	// ErrAllowOther is when users may not let others into their mounts.
	ErrAllowOther = errors.New("other users may be let in only by root, or where /etc/fuse.conf has a line user_allow_other")
	// ErrMounted is when something live is mounted at the mountpoint.
	ErrMounted = errors.New("something is mounted there already")
)

// unavailableError is ErrUnavailable with the reason.
type unavailableError struct{ reason error }

func (e *unavailableError) Error() string {
	return ErrUnavailable.Error() + " (/dev/fuse: " + e.reason.Error() +
		"); in a container add --device /dev/fuse --cap-add SYS_ADMIN, or use serve, append, tail"
}

func (e *unavailableError) Unwrap() []error { return []error{ErrUnavailable, e.reason} }
