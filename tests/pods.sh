#!/usr/bin/env bash
# The image and real containers from it. Needs what `./test pods` installs and builds.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0
.venv/bin/python tests/pods/image.py "$folder/image.tar" || failed=1

# Networks, mounts and processes of its own: with the first process all that it started ends, podman's monitors too. netavark and
# podman keep their locks and network namespaces below /run.
# shellcheck disable=SC2016 # expanded in there
unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private bash -euc '
    for own in /run/netns /run/lock /run/containers /run/libpod /dev/shm; do mkdir -p "$own" && mount -t tmpfs none "$own"; done
    export TMPDIR=${0%/*}
    # Not exec: orphans of podman need a parent that reaps them, and that is this shell.
    timeout --kill-after 10 420 .venv/bin/python tests/pods/run.py "$0" target/debug || exit 1
' "$folder/image.tar" || failed=1
# podman leaves empty groups behind. (One with a process in it can't be removed.)
find /sys/fs/cgroup -path '*/libpod_parent/*' -depth -type d -newer "$folder/image.tar" -exec rmdir {} \; 2>/dev/null || true
exit "$failed"
