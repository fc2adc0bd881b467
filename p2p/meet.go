package p2p

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sys/unix"
)

// Limits of the meeting place. Only processes of this user can write there, but
// a broken one may.
const (
	meetRescan   = 15 * time.Second
	meetFileMax  = 16 << 10
	meetFilesMax = 256
	meetAddrsMax = 64
	meetDraft    = ".draft-" // begins the name of a file that is being written
)

// meetNote is the content of a process's file; the file's name is its peer id.
type meetNote struct {
	PID   int      `json:"pid"`
	Addrs []string `json:"addrs"` // multiaddrs without /p2p/, loopback ones too
}

// meeting is where the processes of one user on one machine find each other
// without any network: a directory with a file per process. A process holds a
// lock on its file while it lives, so a file that can be locked is one that
// was left behind, whatever has become of its pid.
type meeting struct {
	dir  *os.Root
	name string
	file *os.File // our own, locked; nil while nothing is published
	text []byte   // what it says
}

// meetDir is $XDG_RUNTIME_DIR/multicore where that directory is ours, else
// /tmp/multicore-UID.
func meetDir() string {
	base := os.Getenv("XDG_RUNTIME_DIR")
	if filepath.IsAbs(base) {
		if fi, err := os.Stat(base); err == nil && fi.IsDir() && owned(fi) {
			return filepath.Join(base, "multicore")
		}
	}
	return fmt.Sprintf("/tmp/multicore-%d", os.Geteuid())
}

func owned(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// openMeeting opens or makes the directory. It refuses one that somebody else
// could have put there or could write to.
func openMeeting(path, name string) (*meeting, error) {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	seen, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case !seen.IsDir():
		return nil, fmt.Errorf("%s is not a directory", path)
	case !owned(seen):
		return nil, fmt.Errorf("%s belongs to another user", path)
	case seen.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s has mode %04o, want 0700", path, seen.Mode().Perm())
	}
	dir, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	opened, err := dir.Stat(".")
	if err == nil && !os.SameFile(seen, opened) {
		err = fmt.Errorf("%s was replaced while it was opened", path)
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	return &meeting{dir: dir, name: name}, nil
}

// publish writes our file, or renews it where the addresses changed or the
// file was removed. Without addresses there is nothing to publish.
func (m *meeting) publish(addrs []ma.Multiaddr) error {
	if len(addrs) == 0 {
		return nil
	}
	note := meetNote{PID: os.Getpid()}
	for _, a := range addrs[:min(len(addrs), meetAddrsMax)] {
		note.Addrs = append(note.Addrs, a.String())
	}
	text, err := json.Marshal(note)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if m.file != nil && slices.Equal(text, m.text) && m.current() {
		return nil
	}
	draft := meetDraft + m.name
	m.dir.Remove(draft) // of a process that was killed
	f, err := m.dir.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		_, err = f.Write(text)
	}
	if err == nil {
		err = m.dir.Rename(draft, m.name)
	}
	if err != nil {
		f.Close()
		m.dir.Remove(draft)
		return err
	}
	if m.file != nil {
		m.file.Close()
	}
	m.file, m.text = f, text
	return nil
}

// current says whether the file under our name is the one we hold.
func (m *meeting) current() bool {
	held, err := m.file.Stat()
	if err != nil {
		return false
	}
	named, err := m.dir.Lstat(m.name)
	return err == nil && os.SameFile(held, named)
}

// close removes our file.
func (m *meeting) close() {
	if m.file != nil {
		if m.current() {
			m.dir.Remove(m.name)
		}
		m.file.Close()
	}
	m.dir.Close()
}

// others gives the living processes that are here, and removes the files of
// dead ones.
func (m *meeting) others() ([]peer.AddrInfo, error) {
	d, err := m.dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(meetFilesMax)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var all []peer.AddrInfo
	for _, e := range entries {
		if e.Name() == m.name || !e.Type().IsRegular() {
			continue
		}
		if info, ok := m.read(e.Name()); ok {
			all = append(all, info)
		}
	}
	return all, nil
}

// read reads the file of another process; false where that is dead or its file
// makes no sense.
func (m *meeting) read(name string) (info peer.AddrInfo, ok bool) {
	f, err := m.dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return info, false
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() || !owned(fi) {
		return info, false
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err == nil {
		// Left behind, unless it was replaced since it was opened.
		if named, err := m.dir.Lstat(name); err == nil && os.SameFile(fi, named) {
			m.dir.Remove(name)
		}
		return info, false
	}
	if strings.HasPrefix(name, meetDraft) {
		return info, false
	}
	text, err := io.ReadAll(io.LimitReader(f, meetFileMax+1))
	if err != nil || len(text) > meetFileMax {
		return info, false
	}
	return parseNote(name, text)
}

func parseNote(name string, text []byte) (info peer.AddrInfo, ok bool) {
	id, err := peer.Decode(name)
	if err != nil {
		return info, false
	}
	var note meetNote
	if json.Unmarshal(text, &note) != nil || len(note.Addrs) > meetAddrsMax {
		return info, false
	}
	info.ID = id
	for _, s := range note.Addrs {
		a, err := ma.NewMultiaddr(s)
		if err != nil || has(a, ma.P_P2P) {
			continue
		}
		info.Addrs = append(info.Addrs, a)
	}
	return info, len(info.Addrs) > 0
}

// startMeeting publishes this process and dials all that are there already.
// Our file is written before we look, so of two that start together at least
// one sees the other.
func (n *Node) startMeeting() {
	m, err := openMeeting(meetDir(), n.host.ID().String())
	if err != nil {
		n.log.Warn("other processes on this machine are not looked for", "err", err)
		return
	}
	n.meetOnce(m)
	sub, err := n.host.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated), eventbus.Name("multicore meeting"))
	if err != nil {
		m.close()
		n.log.Warn("other processes on this machine are not looked for", "err", err)
		return
	}
	n.spawn(func() {
		defer m.close()
		defer sub.Close()
		tick := time.NewTicker(meetRescan)
		defer tick.Stop()
		for {
			select {
			case <-n.ctx.Done():
				return
			case <-tick.C:
			case <-sub.Out():
			}
			n.meetOnce(m)
		}
	})
}

func (n *Node) meetOnce(m *meeting) {
	addrs, err := n.host.Network().InterfaceListenAddresses()
	if err == nil {
		addrs = slices.DeleteFunc(addrs, func(a ma.Multiaddr) bool { return has(a, ma.P_CIRCUIT) })
		err = m.publish(addrs)
	}
	if err != nil {
		n.log.Warn("other processes on this machine do not see this one", "err", err)
	}
	others, err := m.others()
	if err != nil {
		n.log.Warn("other processes on this machine are not seen", "err", err)
	}
	for _, info := range others {
		n.dialFound(info, "meeting place")
	}
}
