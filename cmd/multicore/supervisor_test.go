package main

import (
	"os"
	"strconv"
	"testing"
	"time"
)

func TestWatchdogTime(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
		fails     bool
	}{
		{"", "", 0, false},
		{"", own, 0, false},
		{"1500000", "", 1500 * time.Millisecond, false},
		{"1500000", own, 1500 * time.Millisecond, false},
		{"1500000", "1", 0, false},
		{"0", "", 0, true},
		{"-5", own, 0, true},
		{"soon", "", 0, true},
		{"9223372036854775807", "", 0, true},
	} {
		got, err := watchdogTime(tt.usec, tt.pid)
		if got != tt.want || (err != nil) != tt.fails {
			t.Errorf("%q %q: got %v, %v, want %v, failing %v", tt.usec, tt.pid, got, err, tt.want, tt.fails)
		}
	}
}
