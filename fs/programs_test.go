package fs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// needTools skips a test where a program is not installed, but not in CI.
func needTools(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			unavailable(t, err)
		}
	}
}

// places are three directories with the same log and blocks in them: a plain
// one, that of an own core and that of a remote one.
type places struct {
	blocks             []string
	log                string
	plain, own, remote string
	writer, reader     *machine
}

// all gives the directories by what they are.
func (p *places) all() map[string]string {
	return map[string]string{"plain": p.plain, "own": p.own, "remote": p.remote}
}

// newPlaces fills the three with blocks. Of the remote one nothing is here yet.
func newPlaces(t *testing.T, blocks []string) *places {
	t.Helper()
	a, b := newMachine(t, true), newMachine(t, true)
	a.append("core-3", blocks...)
	connect(t, a, b)
	p := &places{blocks: blocks, log: strings.Join(blocks, ""), plain: t.TempDir(), writer: a, reader: b}
	p.own = mount(t, "", a.options()).path("core-3")
	p.remote = remoteMount(t, b, patience).path(a.own.Key().String() + "/core-3")
	dir := filepath.Join(p.plain, "blocks")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(p.plain, name), []byte(content), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	write("log", p.log)
	for i, block := range blocks {
		write("blocks/"+strconv.Itoa(i), block)
	}
	return p
}

// mixedBlocks are lines, some with a needle, and binary blocks of sizes around
// those of pages and requests; always the same.
func mixedBlocks() []string {
	random := rand.New(rand.NewPCG(1, 2))
	binary := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return string(b)
	}
	var list []string
	for i := range 100 {
		line := fmt.Sprintf("%d %s", i, strings.Repeat("straw ", random.IntN(40)))
		if i%17 == 0 {
			line += "needle"
		}
		list = append(list, line+"\n")
	}
	for _, n := range []int{0, 1, 4095, 4096, 4097, 65536, 131071, 300_001} {
		list = append(list, binary(n))
	}
	for i := range 42 {
		list = append(list, binary(i*i))
	}
	return list
}

// programs are scripts that find a directory in $D and an empty one in $S. What
// they print is the same wherever $D is.
var programs = []struct{ name, script string }{
	{"cat", `cat $D/log | sha256sum; cat $D/blocks/{0,7,104,107} | sha256sum`},
	{"sha256sum", `cd $D; sha256sum log blocks/*`},
	{"grep", `cd $D; grep -a -c needle log; grep -a -b -n needle log; grep -l -r needle blocks | sort; grep -q nothing log || echo none`},
	{"head", `head -n 3 $D/log; for n in 1 12345 -100 99999999; do head -c $n $D/log | sha256sum; done`},
	{"tail", `for n in 1 12345 +4321; do tail -c $n $D/log | sha256sum; done; head -c 10000 $D/log | tail -n 5; tail -n 2 $D/blocks/3`},
	{"wc", `cd $D; wc -c log blocks/*; wc -l log`},
	{"cp", `cd $S; cp $D/log .; cp -r $D/blocks .; cp --sparse=always --preserve=mode $D/log sparse; cat < $D/log > again; find . -type f -printf '%s %P\n' | sort; sha256sum log sparse again blocks/*`},
	{"rsync", `rsync -r --out-format=%n $D/log $D/blocks $S; cd $S; sha256sum log blocks/*; rsync -rc --out-format='again: %n' $D/log $S
		printf x >> $S/log; rsync -c --no-whole-file --inplace $D/log $S; sha256sum log`},
	{"tar", `cd $D; tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go= -cf $S/tar log blocks
		sha256sum < $S/tar; cd $S; tar xf tar; sha256sum log blocks/*`},
	{"split", `cd $S; split -d -a 4 -b 10001 $D/log; ls -l | awk 'NR > 1 {print $5, $9}'; cat x* | sha256sum; split -n 3/7 $D/log | sha256sum; split -n l/2/5 $D/log | sha256sum`},
	{"dd", `for at in '777 13 99' '1 100003 17' '4097 3 50' '131071 1 2' '1048577 0 1' '65536 99 3'; do set -- $at
		dd if=$D/log bs=$1 skip=$2 count=$3 status=none | sha256sum; done
		dd if=$D/log bs=5000 iflag=skip_bytes,count_bytes,fullblock skip=65537 count=123457 status=none | sha256sum
		dd if=$D/log skip=99999999 bs=1 count=1 status=none 2> /dev/null | wc -c`},
	{"find -size", `cd $D; for s in -1 +0 -2k +3k +100k 4096c 4097c +1M; do find log blocks -type f -size $s -printf "$s %p %s %y\n"; done | sort; find blocks -empty | sort`},
	{"ls", `cd $D; ls -lU blocks | awk 'NR > 1 {print $1, $2, $3, $4, $5, $9}' | sort -n -k 6; ls -U blocks | wc -l; ls blocks | tail -n 3; ls blocks/150 log 2> /dev/null || true; ls -f blocks | wc -l`},
	{"du", `cd $D; du -b log; du --apparent-size -k log; du -cb blocks/* | tail -n 1; for f in log blocks/107; do du -k $f | awk -v size=$(stat -c %s $f) '{print $2, ($1 >= size / 1024)}'; done`},
	{"df", `cd $D; df -B 1 --output=size . log blocks/0; df -i $D > /dev/null; stat -f -c '%s %b' .`},
	{"stat", `cd $D; stat -c '%n %s %a %F %u %g' log blocks/*; test -f log && test -d blocks && test -s log && ! test -s blocks/100 && ! test -e blocks/150 && echo tested`},
	{"cmp", `cp $D/log $S; cmp $D/log $S/log; cmp -i 4321 -n 100000 $D/log $S/log; printf x >> $S/log; cmp $D/log $S/log 2>&1 | sed 's/.*after/after/' || true; tail -c +7 $D/log | cmp -i 6:0 $D/log -`},
	{"diff", `cp -r $D/blocks $S; diff -r $D/blocks $S/blocks; echo more >> $S/blocks/9; diff $D/blocks/9 $S/blocks/9 || true`},
	{"sort, awk, sed", `export LC_ALL=C; sort $D/log | sha256sum; awk '{n += length($0)} END {print NR, n}' $D/log; sed -n '10,12p;200q' $D/log`},
	{"gzip", `gzip -c < $D/log | gunzip | sha256sum`},
	{"od", `od -A d -t x1 -j 70001 -N 50 $D/log`},
	{"shell", `while read -r line; do echo "$line"; done < $D/blocks/17; mapfile -n 5 lines < $D/log; echo "${lines[3]}"; echo "$(< $D/blocks/34)"`},
	{"many at once", `cd $D/blocks; seq 0 149 | xargs -P 8 -n 7 sha256sum | sort; seq 0 9 | xargs -P 10 -I N dd if=$D/log bs=70001 skip=N count=1 status=none of=$S/N; cd $S; sha256sum *`},
	{"locks", `flock -s $D/log echo shared; flock -n $D/log echo exclusive`},
	{"python", `exec python3 -c "$python" $D $S`},
}

// python reads in the ways that its programs do.
const python = `
import array, hashlib, io, mmap, os, shutil, sys
d, s = sys.argv[1:]
name = d + '/log'
size = os.stat(name).st_size
def show(what, b): print(what, len(b), hashlib.sha256(b).hexdigest())
with open(name, 'rb') as f:
    whole = f.read()
    show('read', whole)
    f.seek(-1000, io.SEEK_END); show('seek', f.read())
    f.seek(4097); show('after a seek', f.read(70001))
with open(name, 'rb', buffering=0) as f:
    b = bytearray(100003); got = []
    while n := f.readinto(b): got.append(bytes(b[:n]))
    show('readinto', b''.join(got))
    with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
        show('mmap', m[:]); show('mmap in the middle', m[123457:234567])
        print(m.find(b'needle'), m.rfind(b'needle'), len(m))
    at = mmap.ALLOCATIONGRANULARITY
    with mmap.mmap(f.fileno(), 5000, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ, offset=at) as m: show('private map', m[:])
    fd = f.fileno()
    for off, n in (0, 1), (1, 4096), (65535, 131072), (size - 7, 100), (size, 10), (size + 9999, 10): show('pread %d' % off, os.pread(fd, n, off))
    parts = [bytearray(10), bytearray(5000), bytearray(3)]
    print('preadv', os.preadv(fd, parts, 777)); show('of', b''.join(parts))
    print(os.lseek(fd, 100, os.SEEK_DATA), os.lseek(fd, 100, os.SEEK_HOLE) == size)
    try: os.lseek(fd, size, os.SEEK_DATA)
    except OSError as e: print(e.strerror)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
for line in open(name, 'rb'):
    if b'needle' in line: print(line)
shutil.copyfile(name, s + '/copy'); show('copyfile', open(s + '/copy', 'rb').read())
with open(name, 'rb') as f, open(s + '/sent', 'wb') as out:
    off = 1001
    while n := os.sendfile(out.fileno(), f.fileno(), off, 99991): off += n
show('sendfile', open(s + '/sent', 'rb').read())
for e in sorted(os.scandir(d + '/blocks'), key=lambda e: int(e.name)):
    st = e.stat(); print(e.name, e.is_file(), st.st_size, st.st_nlink)
a = array.array('B'); a.fromfile(open(d + '/blocks/106', 'rb'), 131071); show('array', a.tobytes())
`

// TestPrograms reads the mounts with the programs that people have, each against
// the same bytes in a plain directory: first what is all here, then what comes
// from a peer as it is read.
func TestPrograms(t *testing.T) {
	needTools(t, "rsync", "python3", "tar", "flock")
	blocks := mixedBlocks()
	p := newPlaces(t, blocks)
	remote := p.reader.remoteCore(p.writer, "core-3")
	run := func(t *testing.T, dir, script string) string {
		c := exec.Command("bash", "-e", "-o", "pipefail", "-c", script)
		c.Env = append(os.Environ(), "LC_ALL=C", "D="+dir, "S="+t.TempDir(), "python="+python)
		var stderr bytes.Buffer
		c.Stderr = &stderr
		out, err := c.Output()
		if err != nil {
			t.Fatalf("in %s: %v\n%s%s", dir, err, out, &stderr)
		}
		if stderr.Len() > 0 {
			t.Errorf("in %s it says: %s", dir, &stderr)
		}
		return string(out)
	}
	for i, program := range programs {
		t.Run(program.name, func(t *testing.T) {
			want := run(t, p.plain, program.script)
			if want == "" {
				t.Fatal("the script prints nothing")
			}
			// Each finds other blocks missing.
			if _, err := remote.Clear(deadline(t), uint64(i), uint64(len(blocks)-i)); err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{p.own, p.remote} {
				if got := run(t, dir, program.script); got != want {
					t.Errorf("in %s it prints\n%swhere in a plain directory it prints\n%s", dir, differing(got, want), differing(want, got))
				}
			}
		})
	}
}

// differing gives the lines of a from the first that is not in b, at most five.
func differing(a, b string) string {
	at, bt := strings.SplitAfter(a, "\n"), strings.SplitAfter(b, "\n")
	n := 0
	for n < len(at) && n < len(bt) && at[n] == bt[n] {
		n++
	}
	return strings.Join(at[n:min(len(at), n+5)], "")
}
