#!/usr/bin/env bash
# `cargo demo` in the three ways that a machine may allow: as root, without root, and without namespaces.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0 passed=0

# check NAME CODE TEXT COMMAND… : the command exits with CODE and says TEXT.
check() {
    local name=$1 code=$2 text=$3 output got=0
    shift 3
    output=$("$@" 2>&1 </dev/null) || got=$?
    if [ "$got" = "$code" ] && grep -qiF -- "$text" <<<"$output"; then
        passed=$((passed + 1))
        echo "  ✔ $name"
    else
        failed=$((failed + 1))
        printf '  ✘ %s: exit %s\n%s\n' "$name" "$got" "$output"
    fi
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
install -m 755 target/debug/kubectl-imds target/debug/imds-redirect target/debug/imds-emulator "$folder"
chmod 755 "$folder"

intercepted='put in place and verified: 169.254.169.254:80 to 127.0.0.1:1338'
verdict="an IMDSv1 and an IMDSv2 client got credentials of my-example-role"
check "cargo demo" 0 "$intercepted" cargo demo
check "cargo demo ends well" 0 "$verdict" cargo demo -f examples/pod.yaml
check "cargo demo -- --help" 0 "--no-namespace" cargo demo -- --help
if [ "$(id -u)" -eq 0 ]; then
    nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    check "without root" 0 "$intercepted" "${nobody[@]}" "$folder/kubectl-imds" run
fi
check "without namespaces" 0 "AWS_EC2_METADATA_SERVICE_ENDPOINT" "$folder/kubectl-imds" run --no-namespace
export AWS_ACCESS_KEY_ID=from-the-shell
check "the command's exit code is the run's" 7 "" "$folder/kubectl-imds" run -- sh -c 'exit 7'
check "the command has none of the shell's credentials" 0 "none here" \
    "$folder/kubectl-imds" run -- sh -c 'echo "${AWS_ACCESS_KEY_ID:-none} here"'
check "a Pod that may not be injected is refused" 1 "role" "$folder/kubectl-imds" run -f tests/pod-without-role.yaml
echo "demo: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
