#!/usr/bin/env bash
# The manifests of deploy/: see manifests.py. Needs target/debug/kubectl-imds and imds-webhook.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/setup.sh
need_kubectl

# checkov wants other versions of packages than the tests do: a venv of its own.
checkov=.venv/checkov
if ! cmp -s tests/manifests/checkov.txt "$checkov/requirements.txt"; then
    rm -rf "$checkov"
    python3 -m venv "$checkov"
    "$checkov/bin/pip" install --quiet --disable-pip-version-check --requirement tests/manifests/checkov.txt
    cp tests/manifests/checkov.txt "$checkov/requirements.txt"
fi
.venv/bin/python tests/manifests/manifests.py "$HELM" "$KUBECTL" "$checkov/bin/checkov"
