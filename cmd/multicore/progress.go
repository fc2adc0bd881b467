package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	meterDelay  = time.Second            // work that is done by then shows nothing
	meterEvery  = 250 * time.Millisecond // how often the line is drawn
	meterMemory = 20                     // draws over which the rate is taken: 5 s
)

// meter shows on one line of the terminal that stderr is how far long work is,
// how fast it goes and how long it will take. It draws by itself, so that callers
// may tell it of each block. A nil meter shows nothing. Safe for concurrent use.
type meter struct {
	ui *ui

	mu   sync.Mutex
	now  progress
	past []sample // the oldest first

	quit    chan struct{}
	stopped chan struct{}
	once    sync.Once
}

// progress is how far work is. Zero totals are not known.
type progress struct {
	what            string // the part that is being done, such as a core; may be ""
	blocks, ofBlock uint64
	bytes, ofBytes  uint64
	stuck           string // why it does not go on; "" where it does
}

// sample is what was done at some time.
type sample struct {
	at            time.Time
	blocks, bytes uint64
}

// meter gives nil where nothing is to be shown: stderr is no terminal, or the
// results that the work prints go to one.
func (u *ui) meter(prints bool) *meter {
	if u.quiet || !isTerminal(u.err) || prints && isTerminal(u.out) {
		return nil
	}
	m := &meter{ui: u, quit: make(chan struct{}), stopped: make(chan struct{})}
	go m.run()
	return m
}

func (m *meter) run() {
	defer close(m.stopped)
	began := time.Now()
	tick := time.NewTicker(meterEvery)
	defer tick.Stop()
	for {
		select {
		case <-m.quit:
			return
		case now := <-tick.C:
			text := m.text(now)
			if text != "" && now.Sub(began) >= meterDelay {
				m.ui.draw(text)
			}
		}
	}
}

// set says how far the work is.
func (m *meter) set(p progress) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.what != m.now.what || p.blocks < m.now.blocks || p.bytes < m.now.bytes {
		m.past = nil // another part
	}
	m.now = p
}

// end takes the line away. Safe twice.
func (m *meter) end() {
	if m == nil {
		return
	}
	m.once.Do(func() { close(m.quit) })
	<-m.stopped
	m.ui.erase()
}

// text notes a sample and gives the line, "" where there is nothing to say yet.
func (m *meter) text(now time.Time) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.now
	m.past = append(m.past, sample{now, p.blocks, p.bytes})
	if len(m.past) > meterMemory {
		m.past = m.past[1:]
	}
	return p.text(m.past)
}

// text is the line, with the rate of what was done between the first and the last
// sample.
func (p progress) text(past []sample) string {
	text := ""
	add := func(format string, args ...any) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf(format, args...)
	}
	switch {
	case p.ofBlock > 0:
		add("%d of %d blocks", p.blocks, p.ofBlock)
	case p.blocks > 0:
		add("%d blocks", p.blocks)
	}
	switch {
	case p.ofBytes > 0 && p.ofBlock == 0:
		add("%s of %s", amount(p.bytes), amount(p.ofBytes))
	case p.bytes > 0:
		add("%s", amount(p.bytes))
	}
	if text == "" && p.stuck == "" {
		return ""
	}
	first, last := past[0], past[len(past)-1]
	seconds := last.at.Sub(first.at).Seconds()
	switch {
	case p.stuck != "":
		add("%s", p.stuck)
	case seconds > 0:
		rate := float64(last.bytes-first.bytes) / seconds
		if p.bytes > 0 {
			add("%s/s", amount(uint64(rate)))
		}
		left := float64(p.ofBytes-min(p.bytes, p.ofBytes)) / rate
		if p.ofBytes == 0 {
			left = float64(p.ofBlock-min(p.blocks, p.ofBlock)) / (float64(last.blocks-first.blocks) / seconds)
		}
		if p.ofBytes+p.ofBlock > 0 && left < (100*time.Hour).Seconds() { // false where nothing moves
			add("%s left", time.Duration(left+0.5)*time.Second)
		}
	}
	if p.what != "" {
		text = p.what + ": " + text
	}
	return text
}

// draw shows a line on the terminal that stderr is, in place of what it showed
// before, cut to its width.
func (u *ui) draw(text string) {
	u.errMu.Lock()
	defer u.errMu.Unlock()
	u.drawn = true
	fmt.Fprintf(u.err, "\r\x1b[K%s", cut(oneLine(text), width(u.err)-1))
}

// erase takes that line away.
func (u *ui) erase() {
	u.errMu.Lock()
	defer u.errMu.Unlock()
	u.eraseLocked()
}

func (u *ui) eraseLocked() {
	if u.drawn {
		u.drawn = false
		fmt.Fprint(u.err, "\r\x1b[K")
	}
}

// aside gives stderr to others than ui: what they write never stands behind a line
// of progress.
func (u *ui) aside() io.Writer { return aside{u} }

type aside struct{ *ui }

func (a aside) Write(p []byte) (int, error) {
	a.errMu.Lock()
	defer a.errMu.Unlock()
	a.eraseLocked()
	return a.err.Write(p)
}

// width is that of a terminal in columns, 80 where it does not say.
func width(w io.Writer) int {
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	return 80
}

// cut gives the beginning of text where it has more than so many characters.
func cut(text string, most int) string {
	for i := range text {
		if most == 0 {
			return text[:i]
		}
		most--
	}
	return text
}
