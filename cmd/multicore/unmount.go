package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"multicore/cmd/multicore/control"
	"multicore/cmd/multicore/node"
)

func (p *program) unmountCommand() *cli.Command {
	return &cli.Command{
		Name:        "unmount",
		Aliases:     []string{"umount"},
		Usage:       "end a mount cleanly",
		ArgsUsage:   "MNT",
		Description: "Returns once what was written is on the disk and the mount is gone. A mount of\nanother store, or one that a crash left behind, is ended through the kernel.\n\n" + example("multicore unmount ./mnt"),
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, 1); err != nil {
				return err
			}
			path, err := node.ResolveMount(c.Args().First())
			if err != nil {
				return err
			}
			if err := p.unmount(c.Context, path); err != nil || !p.json {
				return err
			}
			return p.object(struct {
				Path string `json:"path"`
			}{path})
		},
	}
}

func (p *program) unmount(ctx context.Context, path string) error {
	client, err := control.Dial(ctx, p.store)
	if err == nil {
		defer client.Close()
		var ends bool
		if ends, err = client.Unmount(ctx, path); err == nil && ends {
			return p.released(ctx, client.PID())
		}
	}
	switch {
	case errors.Is(err, control.ErrNoServer), errors.Is(err, control.ErrGone),
		control.CodeOf(err) == control.NotFound, control.CodeOf(err) == control.InUse:
		return kernelUnmount(path)
	}
	return err
}

// released waits until the process that ended its last mount has let the store
// go, so that the next command finds it free.
func (p *program) released(ctx context.Context, holder int) error {
	for began := time.Now(); time.Since(began) < settle; {
		client, err := control.Dial(ctx, p.store)
		if err != nil {
			return ctx.Err()
		}
		st, err := client.Status(ctx)
		client.Close()
		if client.PID() != holder || err == nil && len(st.Mounts) > 0 {
			return nil // somebody was faster than we
		}
		if err := sleep(ctx, retry); err != nil {
			return err
		}
	}
	return nil
}

// kernelUnmount ends a mount of a process that cannot be asked; it notices, and
// flushes. A busy mount goes as soon as nobody uses it.
func kernelUnmount(path string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if !isMulticore(string(mounts), path) {
		return &control.Error{Code: control.NotFound, Text: path + " is not a mountpoint of multicore"}
	}
	if os.Geteuid() == 0 {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return &control.Error{Code: control.FUSE, Text: fmt.Sprintf("unmount %s: %v", path, err)}
		}
		return nil
	}
	out, err := exec.Command("fusermount3", "-uz", "--", path).CombinedOutput()
	if err != nil {
		return &control.Error{Code: control.FUSE, Text: fmt.Sprintf("unmount %s: %s", path, strings.TrimSpace(string(out)+" "+err.Error()))}
	}
	return nil
}

// mountinfoEscapes are the bytes that mountinfo writes as octal.
var mountinfoEscapes = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`)

// isMulticore says whether mountinfo lists a mount of ours at path:
// `36 35 0:50 / /mnt rw - fuse.multicore multicore rw`.
func isMulticore(mountinfo, path string) bool {
	escaped := mountinfoEscapes.Replace(path)
	for line := range strings.Lines(mountinfo) {
		front, back, ok := strings.Cut(line, " - ")
		fields := strings.Fields(front)
		if ok && len(fields) > 4 && fields[4] == escaped && strings.HasPrefix(back, "fuse.multicore ") {
			return true
		}
	}
	return false
}
