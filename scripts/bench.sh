#!/usr/bin/env bash
# Measures multicore against the JavaScript packages and against the ceiling,
# and prints one table, in markdown:
#
#   scripts/bench.sh [--rounds N] [--case NAME,...] [--way NAME,...] [--json] [--dir DIR]
#   scripts/bench.sh --quick     small sizes, one round: does everything still run?
#
# Needs Go, Node and npm, some 10 GB below DIR (/var/tmp), which should be on a
# disk, and a machine that does nothing else. scripts/bench/doc.go says how it
# measures.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in go node npm; do
  command -v "$tool" >/dev/null || { echo "bench.sh: needs $tool" >&2; exit 1; }
done
installed=scripts/interop/node_modules/.package-lock.json
if [ ! -e $installed ] || [ scripts/interop/package-lock.json -nt $installed ]; then
  (cd scripts/interop && npm ci --no-audit --no-fund --silent)
fi
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/" ./scripts/bench ./cmd/multicore
"$bin/bench" "$@"
