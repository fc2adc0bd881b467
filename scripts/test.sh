#!/usr/bin/env bash
# Runs every test. As root it installs what the tests of mounts and network
# namespaces need; without root they are skipped, with the reason, unless
# CI=true, when a missing tool is a failure. So it is with Node and npm, for the
# tests and the benchmarks against the JavaScript packages.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v fusermount3 >/dev/null || missing+=(fuse3)
command -v ip >/dev/null || missing+=(iproute2)
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
for shell in zsh fish; do command -v $shell >/dev/null || missing+=($shell); done # completion
command -v groff >/dev/null || missing+=(groff)
# What the tests read mounts with.
for tool in fio rsync less tmux python3; do command -v $tool >/dev/null || missing+=($tool); done
command -v nginx >/dev/null || missing+=(nginx-light)
command -v "$(go env CC)" >/dev/null || missing+=(gcc libc6-dev) # the race detector needs it
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "test.sh: installing ${missing[*]}"
  apt-get update -qq
  apt-get install -y -qq "${missing[@]}" >/dev/null
fi

mounts() { { grep 'fuse.multicore' /proc/self/mountinfo || true; } | cut -d ' ' -f 5 | sort; }
before=$(mounts)

javascript=true
if ! (cd scripts/interop && npm ci --no-audit --no-fund --silent); then
  javascript=false
  echo "test.sh: no JavaScript packages; the tests against them need npm" >&2
  [ "${CI:-}" != true ] || exit 1
fi

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
  echo "test.sh: not gofmt'ed: $unformatted" >&2
  exit 1
fi
go vet ./...
go build ./...

# Packages run one after the other: they start processes and mounts of their
# own. Then once more with the race detector where goroutines meet. Of the
# simulated networks of hypercore/replicate these are 20 seeds; its package doc
# has the command for a thousand.
go test -p 1 -timeout 10m ./...
CGO_ENABLED=1 go test -p 2 -race -short -timeout 10m ./hypercore/... ./corestore/... ./p2p/... ./cmd/multicore/control/...

# Every benchmark and fuzz target once, so that none rots.
go test -p 1 -run '^$' -bench . -benchtime 1x ./hypercore/... ./corestore/... ./p2p/secretstream >/dev/null

if $javascript && command -v node >/dev/null; then
  scripts/bench.sh --quick >/dev/null
else
  echo "test.sh: no benchmarks against the JavaScript packages; they need Node and npm" >&2
  [ "${CI:-}" != true ] || exit 1
fi

scripts/demo.sh

left=$(comm -13 <(echo "$before") <(mounts))
if [ -n "$left" ]; then
  echo "test.sh: mounts were left behind: $left" >&2
  exit 1
fi
echo "test.sh: all passed"
