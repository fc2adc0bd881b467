#!/usr/bin/env bash
# Runs every test. As root it installs what the tests of mounts and network
# namespaces need; without root they are skipped, with the reason, unless
# CI=true, when a missing tool is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v fusermount3 >/dev/null || missing+=(fuse3)
command -v ip >/dev/null || missing+=(iproute2)
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "test.sh: installing ${missing[*]}"
  apt-get update -qq
  apt-get install -y -qq "${missing[@]}" >/dev/null
fi

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
  echo "test.sh: not gofmt'ed: $unformatted" >&2
  exit 1
fi
go vet ./...
go build ./...

# The race detector where goroutines meet; the rest at full speed. Packages
# run one after the other: they start processes and mounts of their own.
go test -p 1 -timeout 10m ./...
go test -p 2 -race -short -timeout 10m ./hypercore/... ./corestore/... ./p2p/... ./cmd/multicore/control/...

# Every benchmark and fuzz target once, so that none rots.
go test -p 1 -run '^$' -bench . -benchtime 1x ./hypercore/... ./corestore/... >/dev/null

scripts/demo.sh

left=$(grep -c 'fuse.multicore' /proc/self/mountinfo || true)
if [ "$left" != 0 ]; then
  echo "test.sh: $left mounts were left behind" >&2
  exit 1
fi
echo "test.sh: all passed"
