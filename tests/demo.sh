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

# without NAME FILE : the file is not there.
without() {
    check "$1" 1 "" test -e "$2"
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
install -m 755 target/debug/kubectl-imds target/debug/imds-redirect target/debug/imds-emulator "$folder"
chmod 755 "$folder"
imds=$folder/kubectl-imds

# pod NAME ANNOTATIONS CONTAINER : makes $folder/NAME.yaml; both are YAML in flow style, without the braces.
pod() {
    local prefix=gkemulticloud.googleapis.com/aws-imds-emulator-
    cat >"$folder/$1.yaml" <<EOF
apiVersion: v1
kind: Pod
metadata:
  name: $1
  labels: {${prefix}enabled: "True"}
  annotations: {${prefix}role-arn: "arn:aws:iam::123456789012:role/my-example-role", $2}
spec:
  containers: [{name: app, image: app, $3}]
EOF
}

intercepted='put in place and verified: 169.254.169.254:80 to 127.0.0.1:1338'
verdict="an IMDSv1 and an IMDSv2 client got credentials of my-example-role"
fallback='Interception `endpoint` instead'
check "cargo demo" 0 "$intercepted" cargo demo
check "cargo demo ends well" 0 "$verdict" cargo demo -f examples/pod.yaml
check "cargo demo -- --help" 0 "--no-namespace" cargo demo -- --help
check "without namespaces" 0 "AWS_EC2_METADATA_SERVICE_ENDPOINT" "$imds" run --no-namespace

echo "as root and as somebody"
# What a client that knows the address alone gets there.
client='[ -z "${AWS_EC2_METADATA_SERVICE_ENDPOINT+set}" ] && exec 3<>/dev/tcp/169.254.169.254/80 &&
    printf "GET /latest/meta-data/iam/security-credentials/ HTTP/1.0\r\n\r\n" >&3 && echo "the role: $(tail -n 1 <&3)"'
reached="the role: my-example-role"
check "the command finds 169.254.169.254" 0 "$reached" "$imds" run -- bash -c "$client"
pod endpoint 'gkemulticloud.googleapis.com/aws-imds-emulator-interception: endpoint' ''
check "interception endpoint" 0 "$verdict" "$imds" run -f "$folder/endpoint.yaml"
told='url=${AWS_EC2_METADATA_SERVICE_ENDPOINT%/} && exec 3<>"/dev/tcp/127.0.0.1/${url##*:}" &&
    printf "GET /latest/meta-data/iam/security-credentials/ HTTP/1.0\r\n\r\n" >&3 && echo "the role: $(tail -n 1 <&3)"'
check "interception endpoint, a client that reads the variable" 0 "$reached" \
    "$imds" run -f "$folder/endpoint.yaml" -- bash -c "$told"
# What a client that knows the address alone gets from a machine whose own IMDS has that address.
node='exec 3<>/dev/tcp/169.254.169.254/80 && printf "GET / HTTP/1.0\r\n\r\n" >&3 && echo "the node: $(head -n 1 <&3)"'
on_ec2() {
    unshare --user --map-root-user --net bash -c '
        ip link set lo up && ip address add 169.254.169.254/32 dev lo || exit
        python3 -m http.server --bind 169.254.169.254 80 >/dev/null 2>&1 &
        for _ in {1..100}; do
            (: <>/dev/tcp/169.254.169.254/80) 2>/dev/null && break
            sleep 0.1
        done
        "$@" && code=0 || code=$?
        kill $!
        exit $code' bash "$@"
}
check "without a namespace a client reaches the node's IMDS" 0 "the node: HTTP/1.0 200" \
    on_ec2 "$imds" run --no-namespace -- bash -c "$node"
check "interception endpoint keeps it from there" 1 "Network is unreachable" \
    on_ec2 "$imds" run -f "$folder/endpoint.yaml" -- bash -c "$node"
check "interception endpoint says so" 0 'A client that connects to 169.254.169.254 itself gets "Network is unreachable"' \
    "$imds" run -f "$folder/endpoint.yaml" -- true
if [ "$(id -u)" -eq 0 ]; then
    nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    check "without root" 0 "$intercepted" "${nobody[@]}" "$imds" run
    check "without root, the command" 0 "$reached" "${nobody[@]}" "$imds" run -- bash -c "$client"
    check "without root, interception endpoint" 0 "$verdict" "${nobody[@]}" "$imds" run -f "$folder/endpoint.yaml"
    check "without root, interception endpoint has no way out" 1 "Network is unreachable" \
        "${nobody[@]}" "$imds" run -f "$folder/endpoint.yaml" -- bash -c "$node"
    mkdir -m 700 "$folder/private"
    check "under umask 077" 0 "(uid 1338)" bash -c 'umask 077; exec "$@"' bash "$imds" run
    check "with a private TMPDIR" 0 "(uid 1338)" env TMPDIR="$folder/private" "$imds" run
    install -m 700 "$folder"/{kubectl-imds,imds-redirect,imds-emulator} "$folder/private"
    check "with programs for their owner alone" 0 "(uid 1338)" "$folder/private/kubectl-imds" run
    chown 1000 "$folder/private" "$folder/private"/imds-*
    check "with programs of another owner" 0 "$verdict" "$folder/private/kubectl-imds" run
fi

echo "where the machine does not allow it"
# Limits and mounts of a user namespace of its own are nobody else's.
in_container() {
    unshare --user --map-root-user --mount bash -c "$1"' && shift && exec "$@"' bash "$@"
}
no_network='echo 0 >/proc/sys/user/max_net_namespaces'
check "no more network namespaces" 0 "no more namespaces are allowed here" in_container "$no_network" "$imds" run
check "and then the endpoint" 0 "$verdict" in_container "$no_network" "$imds" run
check "and that a client may reach the machine's IMDS" 0 "what this machine's network has there" \
    in_container "$no_network" "$imds" run -f "$folder/endpoint.yaml" -- true
read_only='mount --rbind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys'
pod address 'gkemulticloud.googleapis.com/aws-imds-emulator-interception: address' ''
check "interception address" 0 "$verdict" "$imds" run -f "$folder/address.yaml"
check "a read-only /proc/sys" 0 "cannot set the sysctl" in_container "$read_only" "$imds" run -f "$folder/address.yaml"
check "a read-only /proc/sys falls back" 0 "$fallback" in_container "$read_only" "$imds" run -f "$folder/address.yaml"
mkdir "$folder/kernel-without-nftables"
install "$imds" "$folder/imds-emulator" "$folder/kernel-without-nftables"
install /bin/false "$folder/kernel-without-nftables/imds-redirect"
check "an interception that fails" 0 "the interception is not in place" "$folder/kernel-without-nftables/kubectl-imds" run
check "an interception that fails falls back" 0 "$fallback" "$folder/kernel-without-nftables/kubectl-imds" run
rm "$folder/kernel-without-nftables/imds-redirect"
check "a program that is not there is an error" 1 "install it beside kubectl-imds" \
    env PATH=/usr/bin:/bin "$folder/kernel-without-nftables/kubectl-imds" run

echo "the command"
export AWS_ACCESS_KEY_ID=from-the-shell
check "its exit code is the run's" 7 "" "$imds" run -- sh -c 'exit 7'
check "one that is not there" 127 "cannot run no-such-command" "$imds" run -- no-such-command
check "one that cannot be run" 126 "cannot run /etc/passwd" "$imds" run -- /etc/passwd
check "it has none of the shell's credentials" 0 "none here" "$imds" run -- sh -c 'echo "${AWS_ACCESS_KEY_ID:-none} here"'
pod path '' 'env: [{name: PATH, value: /app/bin}]'
check "it is found whatever the container's PATH" 0 "PATH is /app/bin" "$imds" run -f "$folder/path.yaml" -- sh -c 'echo "PATH is $PATH"'
pod references '' 'envFrom: [{secretRef: {name: all}}], env: [{name: KEY, valueFrom: {secretKeyRef: {name: one, key: k}}}]'
check "it is told what it lacks" 0 "left out: all (envFrom secretRef), KEY (secretKeyRef);" \
    "$imds" run -f "$folder/references.yaml" -- true
# Whoever runs the tests may have it ignored, as `nohup … &` does.
check "it gets a SIGINT that was not typed" 5 "" \
    env --default-signal=INT "$imds" run -- bash -c 'trap "exit 5" INT; kill -INT $PPID; for i in {1..50}; do sleep 0.1; done'
# of_emulator WHAT : does it to the emulator's process $p.
of_emulator() {
    local find='for p in $(cat /proc/$PPID/task/$PPID/children); do read -r comm </proc/$p/comm
        [ "$comm" != imds-emulator ] || '
    echo "$find$1; done"
}
check "its emulator can be told to end" 0 "SigBlk:	0000000000000000" \
    "$imds" run -- bash -c "$(of_emulator 'grep SigBlk /proc/$p/status')"
check "it dies with kubectl-imds" 137 "" "$imds" run -- sh -c 'kill -9 $PPID; sleep 1; touch "$0"' "$folder/survived"
without "and does nothing more" "$folder/survived"
check "it is told that the emulator died" 3 "imds-emulator ended with signal: 9 (SIGKILL) while the command runs" \
    "$imds" run -- bash -c "$(of_emulator 'kill -9 $p'); sleep 0.5; exit 3"

echo "the rest"
check "a full disk is an error" 1 "No space left on device" sh -c '"$0" run >/dev/full' "$imds"
check "a reader that goes away is none" 0 "" bash -c 'set -o pipefail; "$0" run 2>/dev/null | head -n 1' "$imds"
check "a Pod that may not be injected is refused" 1 "role" "$imds" run -f tests/pod-without-role.yaml
echo "demo: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
