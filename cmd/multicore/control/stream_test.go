package control

import (
	"context"
	"errors"
	"reflect"
	"testing"
)

// Values come one by one, and so does what went wrong behind them.
func TestStream(t *testing.T) {
	sent := make(chan struct{})
	var end error
	svc := &fake{verify: func(ctx context.Context, r VerifyRequest, emit func(Verified) error) error {
		if err := emit(Verified{Path: r.Path, Blocks: 1}); err != nil {
			return err
		}
		select {
		case <-sent: // the first was seen before the second is made
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := emit(Verified{Path: r.Path, Blocks: 2, Done: true}); err != nil {
			return err
		}
		return end
	}}
	_, c := serve(t, t.TempDir(), svc)
	for _, end = range []error{nil, &Error{Code: Verify, Text: "damaged"}} {
		var got []Verified
		err := c.Verify(context.Background(), VerifyRequest{Path: "main"}, func(v Verified) error {
			if got = append(got, v); len(got) == 1 {
				sent <- struct{}{}
			}
			return nil
		})
		if CodeOf(err) != CodeOf(end) || (err == nil) != (end == nil) {
			t.Fatalf("got %v, want %v", err, end)
		}
		if want := []Verified{{Path: "main", Blocks: 1}, {Path: "main", Blocks: 2, Done: true}}; !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
	stop := errors.New("enough")
	if err := c.Verify(context.Background(), VerifyRequest{}, func(Verified) error { return stop }); err != stop {
		t.Fatalf("error of emit: %v", err)
	}
}
