package main

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// watchEvery is how often --watch shows things again.
const watchEvery = time.Second

// watch shows something, and with again set goes on to do so until ctx ends: in
// place of what stood there on a terminal, else after an empty line.
func (p *program) watch(ctx context.Context, s *session, again bool, show func(context.Context) error) error {
	ctx, cancel := s.untilYielded(ctx)
	defer cancel()
	err := show(ctx)
	for err == nil && again {
		if err = sleep(ctx, watchEvery); err == nil {
			err = show(ctx)
		}
	}
	if err != nil && context.Cause(ctx) == errYielded {
		return errYielded
	}
	return err
}

// screen prints what watch shows the second time and later: text alone, at the
// top of a terminal.
func (p *program) screen(text *bytes.Buffer, again bool) error {
	if again {
		start := "\n"
		if isTerminal(p.out) {
			start = "\x1b[H\x1b[2J"
		}
		if _, err := fmt.Fprint(p.out, start); err != nil {
			return err
		}
	}
	_, err := p.out.Write(text.Bytes())
	return err
}
