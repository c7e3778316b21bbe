#!/usr/bin/env bash
# Coverage-guided fuzzing of what reads bytes of others (fuzz/README.md): `tests/fuzz.sh [SECONDS [TARGET…]]`.
#
# Every target runs for so many seconds, 10 by default. What once failed (fuzz/regressions) is run first. FUZZ_SEED is the
# seed of its choices; a crash fails the run and is kept, with the command that reproduces it.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/setup.sh

SECONDS_EACH=${1:-10}
SEED=${FUZZ_SEED:-1}
TARGETS=("${@:2}")
[ ${#TARGETS[@]} -gt 0 ] || TARGETS=(review inject settings imds connection sts_answer)

# A folder of its own: everything in it is instrumented. The host is named so that build scripts are not.
HOST=$(rustc --version --verbose | sed -n 's/^host: //p')
PROGRAMS=fuzz/target/$HOST/release
CRASHES=fuzz/target/crashes
CORPUS=fuzz/target/corpus

# SanitizerCoverage for libFuzzer, by flags that stable Rust has; cargo-fuzz wants a nightly for its sanitizers alone.
INSTRUMENTED=(
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
)

# Where a target ran less often than this, something keeps it from working.
FEWEST_RUNS=500

main() {
    local failed=() target
    need_packages g++:g++
    need_python
    echo "building (the first time takes two minutes)"
    RUSTFLAGS="${INSTRUMENTED[*]}" cargo build --quiet --release --manifest-path fuzz/Cargo.toml \
        --target "$HOST" --target-dir fuzz/target
    rm -rf "$CORPUS"
    .venv/bin/python fuzz/seeds.py "$CORPUS"
    mkdir -p "$CRASHES"
    echo "seed $SEED, $SECONDS_EACH s each"
    for target in "${TARGETS[@]}"; do
        fuzz "$target" || failed+=("$target")
    done
    [ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}" && return 1; }
}

fuzz() {
    local target=$1 folders=("$CORPUS/$1") log=fuzz/target/$1.log runs
    [ ! -d "fuzz/regressions/$target" ] || folders+=("fuzz/regressions/$target")
    # No leak check: that is a sanitizer's. Limits in seconds and MiB, for one input.
    if ! "$PROGRAMS/$target" "${folders[@]}" -seed="$SEED" -max_total_time="$SECONDS_EACH" -timeout=10 \
        -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$CRASHES/$target-" >"$log" 2>&1; then
        show_crash "$target" "$log"
        return 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    printf '%-11s %8d runs, %s\n' "$target" "$runs" \
        "$(sed -n 's/.* cov: \([0-9]*\) ft: [0-9]* corp: \([0-9]*\).*/\1 edges, \2 inputs kept/p' "$log" | tail -1)"
    if [ "$runs" -lt "$FEWEST_RUNS" ] || ! grep -q 'Loaded .*PC tables' "$log"; then
        echo "$target: too few runs, or not instrumented: see $log"
        return 1
    fi
}

show_crash() {
    local target=$1 log=$2 input
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
    echo "✘ $target:"
    grep -A 2 -m 1 -E 'panicked at|ERROR: libFuzzer' "$log" | sed 's/^/    /' || tail -5 "$log"
    echo "  everything: $log"
    if [ -n "$input" ]; then
        echo "  again:      $PROGRAMS/$target $input"
        echo "  to keep:    cp it to fuzz/regressions/$target/ once it is mended, under a name that says what it was"
    fi
}

main
