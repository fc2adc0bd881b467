#!/usr/bin/env bash
# The main job on one machine: a bootstrap node, a writer and a reader, each
# with a store of its own, joined by a private DHT on loopback. Exits 0 only if
# what the reader's mount shows is what was written. With an argument it shows
# that multicore, and builds none: scripts/demo.sh /usr/local/bin/multicore
set -euo pipefail
built=${1:+$(realpath "$1")}
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { echo "demo: $*" >&2; exit 1; }

[ -n "$built" ] || command -v go >/dev/null || fail "needs Go (https://go.dev/doc/install)"
if [ ! -e /dev/fuse ]; then
  fail "needs /dev/fuse; in a container add --device /dev/fuse --cap-add SYS_ADMIN"
fi
if [ "$(id -u)" != 0 ] && ! command -v fusermount3 >/dev/null; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null && command -v apt-get >/dev/null; then
    sudo apt-get update -qq && sudo apt-get install -y -qq fuse3 >/dev/null
  else
    fail "needs fusermount3 to mount without root: apt-get install fuse3 (or your system's fuse3 package)"
  fi
fi

dir=$(mktemp -d)
pids=()
cleanup() {
  status=$?
  set +e
  for m in "$dir/mnt" "$dir/mnt2"; do
    mountpoint -q "$m" && "$dir/multicore" unmount "$m" 2>/dev/null
  done
  [ ${#pids[@]} -gt 0 ] && kill "${pids[@]}" 2>/dev/null
  wait 2>/dev/null
  [ $status = 0 ] || tail -n 20 "$dir"/*.log >&2
  rm -rf "$dir"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# until SECONDS COMMAND...: repeat until it succeeds.
until_ok() {
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}

if [ -n "$built" ]; then
  ln -s "$built" "$dir/multicore"
else
  say "build"
  go build -o "$dir/multicore" ./cmd/multicore
fi
PATH=$dir:$PATH
cd "$dir"
# Loopback only: no mDNS, no meeting place, nothing but the DHT.
net=(--dht private --mdns=false --listen /ip4/127.0.0.1/tcp/0)

say "a bootstrap node"
multicore --store boot serve "${net[@]}" >boot.log 2>&1 & pids+=($!)
boot_addr() { multicore --store boot status --json | grep -o '"/ip4/127\.0\.0\.1/tcp/[0-9]*/p2p/[^"]*"' | head -n 1 | tr -d '"'; }
boot_up() { [ -n "$(boot_addr)" ]; }
until_ok 30 boot_up || fail "the bootstrap node did not start"
bootstrap=$(boot_addr)
echo "$bootstrap"

say "the writer: multicore mount ./mnt"
multicore --store writer mount "${net[@]}" --bootstrap "$bootstrap" ./mnt >writer.log 2>&1 & pids+=($!)
until_ok 30 test -e mnt/append || fail "the writer did not mount"
key=$(cat mnt/key)
cat writer.log

say "the reader: multicore mount ./mnt2"
multicore --store reader mount "${net[@]}" --bootstrap "$bootstrap" ./mnt2 >reader.log 2>&1 & pids+=($!)
until_ok 30 test -e mnt2/append || fail "the reader did not mount"

say "echo hi > mnt/append; echo 'hello, world' > mnt/append"
echo hi > mnt/append
echo 'hello, world' > mnt/append

say "tail -n +1 mnt2/<key>/core-*/log"
timeout 60 cat "mnt2/$key/core-2/log" "mnt2/$key/core-3/log" >/dev/null || fail "the reader could not read"
appears() { [ "$(timeout 30 cat "mnt2/$key/$1/log")" = "$2" ]; }
until_ok 30 appears core-2 'hi' || fail "core-2 is not what was written"
until_ok 30 appears core-3 'hello, world' || fail "core-3 is not what was written"
tail -n +1 "mnt2/$key/core-2/log" "mnt2/$key/core-3/log"

say "tail -f mnt2/<key>/core-3/log, while the writer goes on"
tail -n +1 -f "mnt2/$key/core-3/log" > followed & pids+=($!)
printf 'one more line\nand another\n' >> mnt/append
printf 'hello, world\none more line\nand another\n' > want
until_ok 30 cmp -s followed want || fail "tail -f did not see what was appended"
cat followed

say "main/blocks/0 names the other cores"
cat "mnt2/$key/main/blocks/0"; echo
cmp "mnt/main/blocks/0" "mnt2/$key/main/blocks/0"
[ "$(stat -c %s "mnt2/$key/main/blocks/0")" = 149 ] || fail "block 0 of main is not 149 bytes"

say "multicore unmount"
multicore unmount mnt2
multicore unmount mnt
say "what was read is what was written"
