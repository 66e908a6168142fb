#!/usr/bin/env bash
# Runs every fuzz target of the module for a while: fuzz.sh [TIME], 10s by default, or a
# number of inputs such as 1000x.
# Targets are found by their declaration, so that a new one is run without being listed.
# Minimising each interesting input is cut short: by default it takes a minute, in which
# nothing else is tried.
set -euo pipefail
cd "$(dirname "$0")/../.."
time=${1:-10s}
go=${GO:-go}

targets=$(find . -name '*_test.go' -not -path '*/testdata/*' -not -path './internal/tools/*' -print0 |
	xargs -0 grep -H '^func Fuzz[A-Za-z0-9_]*(f \*testing\.F)' |
	sed -E 's|^(\./[^:]*)/[^/:]*:func (Fuzz[A-Za-z0-9_]*)\(.*|\1 \2|' | sort -u)
[ -n "$targets" ] || { echo "fuzz: no targets found" >&2; exit 1; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Until Go 1.27 the end of a TIME can itself be reported as a failure, without an input
# (https://go.dev/issue/75804). A number of inputs has no such end.
ended() {
	grep -qx ' *context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"
}

failed=0
while read -r pkg name; do
	echo "== $pkg $name"
	"$go" test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 10x "$pkg" 2>&1 | tee "$log" && continue
	if ended; then
		echo "== $name: no failing input; Go took the end of the time for a failure"
	else
		failed=1
	fi
done <<<"$targets"
exit $failed
