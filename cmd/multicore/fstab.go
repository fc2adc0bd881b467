package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// A line of fstab,
//
//	/var/lib/multicore  /mnt  fuse.multicore  ro,allow_other,_netdev  0  0
//
// or multicore#/var/lib/multicore with the type fuse, has mount(8) run mount.fuse3,
// and that `multicore STORE MNT -o OPTIONS`. A link to this program that is named
// mount.multicore or mount.fuse.multicore is called by mount(8) itself, with flags
// of its own. Either way it is `multicore --store STORE mount --daemon MNT`, which
// prints nothing where all is well.
//
// The options are those that every file system has, and each flag of mount, as
// NAME or NAME=VALUE, with _ for - if one likes.

// asHelper gives the command line that stands for one of these forms; helper says
// whether args is one.
func asHelper(args []string, app *cli.App) (line []string, helper bool, err error) {
	if len(args) < 3 {
		return args, false, nil
	}
	called := strings.HasPrefix(filepath.Base(args[0]), "mount.")
	byFuse := len(args) == 5 && args[3] == "-o" && !strings.HasPrefix(args[1], "-") && app.Command(args[1]) == nil
	if !called && !byFuse {
		return args, false, nil
	}
	source, mnt, rest := args[1], args[2], args[3:]
	line = []string{args[0]}
	if source != "" && source != "none" {
		line = append(line, "--store="+source)
	}
	line = append(line, "mount", "--daemon")
	sloppy, options := false, ""
	for len(rest) > 0 {
		flag := rest[0]
		rest = rest[1:]
		switch flag {
		case "-s":
			sloppy = true
		case "-n", "-v": // there is no table to write to, and nothing more to say
		case "-f":
			return []string{args[0], "version"}, true, nil // only as if
		case "-o", "-t", "-N":
			if len(rest) == 0 {
				return nil, true, usage("flag %s needs a value", flag)
			}
			if flag == "-o" {
				options = rest[0]
			}
			rest = rest[1:]
		default:
			return nil, true, usage("no flag %s; called as mount(8) calls its helpers: %s STORE MNT -o OPTIONS", flag, filepath.Base(args[0]))
		}
	}
	flags, err := optionFlags(options, sloppy, app)
	if source != "" && !strings.Contains(options, "fsname=") { // mount -a looks for it in the table
		flags = append(flags, "--fsname="+source)
	}
	return append(append(line, flags...), "--", mnt), true, err
}

// generic are the options of mount(8) that say nothing to us: what they would
// forbid is not there, or the kernel, mount(8) or systemd heeds them.
var generic = []string{
	"defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group", "_netdev", "nofail",
	"dev", "nodev", "suid", "nosuid", "exec", "noexec", "async", "dirsync", "symfollow", "nosymfollow",
	"atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime",
	"lazytime", "nolazytime", "iversion", "noiversion", "mand", "nomand", "silent", "loud", "default_permissions",
}

// optionFlags are the flags of mount that options stand for.
func optionFlags(options string, sloppy bool, app *cli.App) (flags []string, err error) {
	known := flagsOf(app.Command("mount").Flags)
	for _, name := range []string{"quiet", "verbose"} {
		known[name] = false
	}
	for _, name := range []string{"help", "h", "daemon"} { // are no options
		delete(known, name)
	}
	readOnly := false
	for _, option := range strings.Split(options, ",") {
		name, value, valued := strings.Cut(option, "=")
		flag := strings.ReplaceAll(name, "_", "-")
		takesValue, ok := known[flag]
		switch {
		case option == "", slices.Contains(generic, option), strings.HasPrefix(name, "x-"), strings.HasPrefix(name, "X-"):
		case valued && (name == "user" || name == "comment" || name == "uhelper" || name == "helper"):
		case option == "ro" || option == "rw":
			readOnly = option == "ro"
		case option == "sync":
			flags = append(flags, "--sync=always")
		case option == "nonempty":
			flags = append(flags, "--allow-non-empty")
		case ok && takesValue && !valued:
			return nil, usage("mount option %s needs a value: %[1]s=…", name)
		case ok && valued:
			flags = append(flags, "--"+flag+"="+value)
		case ok:
			flags = append(flags, "--"+flag)
		case !sloppy:
			return nil, usage("no mount option %s; it may be a generic one, or a flag of multicore mount --help without its dashes", name)
		}
	}
	if readOnly {
		flags = append(flags, "--read-only")
	}
	return flags, nil
}
