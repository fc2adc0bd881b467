// Package doctor finds out what keeps a multicore from working on a machine: the
// FUSE device, ports, the DHT, the way in from outside, the clock, the disk, and
// the store itself.
//
// Where a process holds the store it is asked, through the control socket, for
// what it knows; else the checks look for themselves, with the options that a
// mount or serve would have. They read, and bind or dial for a moment; nothing
// is made, written or locked that anybody else could see. A check that does not
// end in time is a problem of its own, as a hanging disk is.
//
// What cannot be known, such as the way in from outside while no process runs,
// is neither right nor wrong.
package doctor
