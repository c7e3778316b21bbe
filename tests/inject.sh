#!/usr/bin/env bash
# What `kubectl-imds inject` prints, in the eyes of others: kubectl takes it, and it is valid by the API server's schemas.
# Needs target/debug/kubectl-imds.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/setup.sh
need_python
need_kubectl
PATH=$PWD/target/debug:$PATH
IMAGE=registry.example/imds:1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0 passed=0

# check NAME COMMAND… : the command succeeds.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "  ✔ $name${output:+: ${output##*$'\n'}}"
    else
        failed=$((failed + 1))
        printf '  ✘ %s\n%s\n' "$name" "$output"
    fi
}

apply() { .venv/bin/python tests/inject/apply.py "$KUBECTL" <"$1"; }
valid() { .venv/bin/python tests/validate.py "$1" --version "$2"; }
# The lines of the first are in the second, in their order.
keeps_lines() { [ -s "$1" ] && [ -s "$2" ] && [ "$(diff "$1" "$2" | grep -c '^<')" -eq 0 ]; }
tells() { grep -qF "$2" "$1"; }

inject() { kubectl-imds inject "${@:2}" >"$folder/$1.yaml" 2>"$folder/$1.txt"; }
newest=$(.venv/bin/python -c 'import kubernetes_validate as k; print(".".join(k.latest_version().split(".")[:2]))')
for version in 1.24 "$newest"; do
    check "inject examples for $version" inject "examples-$version" -f examples/ --server-version "$version"
    check "inject all kinds for $version" \
        inject "kinds-$version" --skip-refused -f tests/inject/workloads.yaml --image "$IMAGE" --server-version "$version"
    for what in examples kinds; do
        check "$what for $version: kubectl apply" apply "$folder/$what-$version.yaml"
        check "$what for $version: schemas" valid "$folder/$what-$version.yaml" "$version"
    done
done
check "every line of the example is kept" keeps_lines examples/pod.yaml "$folder/examples-$newest.yaml"
grep -o '#.*' tests/inject/workloads.yaml >"$folder/comments-before"
grep -o '#.*' "$folder/kinds-$newest.yaml" >"$folder/comments-after"
check "comments are kept" keeps_lines "$folder/comments-before" "$folder/comments-after"
check "what is injected is told" tells "$folder/kinds-$newest.txt" "injected deployment/web in shop: role arn:"
check "what is refused is told" tells "$folder/kinds-$newest.txt" "refused replicaset/refused in default: "
# As in a pipe to kubectl apply: nothing comes out, the reason is on stderr, the exit code is 1.
refuses() {
    local code=0
    inject refused -f tests/inject/workloads.yaml --image "$IMAGE" || code=$?
    [ "$code" -eq 1 ] && [ ! -s "$folder/refused.yaml" ] && tells "$folder/refused.txt" "refused replicaset/refused in default: "
}
check "a refused workload is an error, and nothing is printed" refuses
# Whatever is JSON and whatever is YAML, and in whichever order: kubectl reads it to its end. It goes by the first character.
mixed=$folder/mixed
mkdir "$mixed"
config() { printf '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "%s"}}' "$1"; }
.venv/bin/python -c 'import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)' <examples/pod.yaml >"$mixed/pod.json"
sed 's/name: nginx/name: other/' examples/pod.yaml >"$mixed/other.yaml"
config one >"$mixed/one.json"
{ config two && echo && config three; } >"$mixed/two.json"
printf '{"apiVersion": "v1", "kind": "List", "items": [%s]}\n' "$(config four)" >"$mixed/list.json"
printf '# none\n\n---\n%s\n---\n' "$(config five)" >"$mixed/marked.yaml"
printf 'apiVersion: v1\r\nkind: ConfigMap\r\nmetadata: {name: six}\r\n---\r\n\xef\xbb\xbf' | cat - examples/pod.yaml >"$mixed/windows.yaml"
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: seven}\ndata: {a: b}\ndata: {a: c}\n' >"$mixed/twice.yaml"
# What JSON escapes and YAML does not, marks where documents begin, UTF-16, a byte of Latin-1, and a fault in another item of a list.
printf '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "eight"}, "data": {"a"\n:"\\ud83d\\ude00\\/\x7f"}}' >"$mixed/escapes.json"
{ printf '\xef\xbb\xbf' && config nine && printf '\n\xef\xbb\xbf' && config ten; } >"$mixed/marks.json"
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: eleven}\n--- # c\n\n# d\n\xef\xbb\xbf' | cat - examples/pod.yaml >"$mixed/marks.yaml"
iconv -f UTF-8 -t UTF-16 "$mixed/other.yaml" >"$mixed/utf16.yaml"
printf '# caf\xe9\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: twelve}\n---\n' | cat - examples/pod.yaml >"$mixed/latin.yaml"
{ printf 'apiVersion: v1\nkind: List\nitems:\n- ' && sed '1!s/^/  /' "$mixed/twice.yaml" && printf -- '- ' && sed '1!s/^/  /' examples/pod.yaml; } >"$mixed/items.yaml"
# reads OBJECTS FILE… : of what is printed for these files kubectl takes so many objects.
reads() {
    local file files=()
    for file in "${@:2}"; do files+=(-f "$mixed/$file"); done
    kubectl-imds inject --image "$IMAGE" "${files[@]}" 2>/dev/null | .venv/bin/python tests/inject/apply.py "$KUBECTL" | grep "takes $1 objects"
}
for files in '2 one.json other.yaml' '2 other.yaml one.json' '2 one.json pod.json' '1 pod.json' '1 one.json' '3 two.json pod.json' \
    '3 pod.json two.json' '2 list.json other.yaml' '2 marked.yaml pod.json' '2 one.json marked.yaml' '2 windows.yaml' '2 twice.yaml pod.json' \
    '2 escapes.json other.yaml' '2 pod.json escapes.json' '3 marks.json pod.json' '2 marks.yaml' '2 utf16.yaml pod.json' '2 latin.yaml' '2 items.yaml'; do
    # shellcheck disable=SC2086 # words
    check "kubectl reads all of ${files#* }" reads $files
done
# Nothing is injected: the same bytes.
same() { kubectl-imds inject --image "$IMAGE" -f "$mixed/$1" 2>/dev/null | cmp - "$mixed/$1"; }
for file in one.json two.json list.json marked.yaml twice.yaml escapes.json marks.json; do check "nothing is injected into $file" same "$file"; done
# kubectl finds plugins by their name in PATH.
plugin() { "$KUBECTL" imds inject -f examples/ 2>/dev/null | cmp - <(kubectl-imds inject -f examples/ 2>/dev/null); }
check "as kubectl's plugin" plugin
echo "inject: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
