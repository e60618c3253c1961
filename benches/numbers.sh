#!/bin/sh
# Measures all that docs/PERFORMANCE.md tells and prints its tables; the exit status is 1 where a bar is missed.
# Wants an idle machine, GNU time and, for the Python tool, python3 with venv and pip. PYTHON_TOOL names a Python tool
# that is there already. `PROFILE= BENCH_SCALES=2 BENCH_QUIET=5 STORE_ENTRIES=1000 benches/numbers.sh` tries it out
# quickly.
set -eu
cd "$(dirname "$0")/.."
profile=${PROFILE---release}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ -z "${PYTHON_TOOL:-}" ]; then
    python3 -m venv "$scratch/python"
    "$scratch/python/bin/pip" install --quiet --disable-pip-version-check vm-balancer==2.0.1
    PYTHON_TOOL=$scratch/python/bin/vm-balancer
fi
export PYTHON_TOOL
missed=0

bench() {
    # shellcheck disable=SC2086
    if ! cargo test $profile --bench "$1" -- --nocapture --test-threads 1 >"$scratch/out" 2>"$scratch/err"; then
        missed=1
        tail -n 20 "$scratch/err" >&2
    fi
    printf '\n**%s**\n\n' "$2"
    grep -E '^(\||$)' "$scratch/out" | cat -s
}

echo "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores; $(rustc --version); load before: $(cut -d' ' -f1 /proc/loadavg)"
bench cycle 'One cycle (`--once --dry-run`), its parts, and the Python tool on the same server'
bench look 'A look beside a bare fetch and parse of the same bytes'
bench memory 'What a look allocates'
bench questions 'Twenty people who ask at once'
bench orders 'Orders'
bench idle 'A bot that has nothing to do'
STORE_ENTRIES=${STORE_ENTRIES:-100000} bench store 'The store'
STORE_ENTRIES=$((${STORE_ENTRIES:-100000} * 10)) bench store 'The store, ten times as long'
exit $missed
