#!/usr/bin/env bash
# Two copies of this tree, in folders whose names differ in length, each built and packaged by itself: every image of a
# solution must get the same digest. A copy holds what a clone would, and what is not committed yet. Takes two cold builds.
# Prints a line per check and "N passed, N failed".
#
#   VERGE_CLONES    the folder to work in (default: one that is removed at the end)
#   VERGE_SOLUTION  relative to the tree (default examples/first_light)
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/lib.sh"

solution=${VERGE_SOLUTION:-examples/first_light}
passed=0
failed=0
work=${VERGE_CLONES:-}
if [ -z "$work" ]; then
  work=$(mktemp -d /tmp/verge-clones.XXXXXX)
  trap 'rm -rf "$work"' EXIT
fi
first=$work/a
second=$work/another/and/longer/name/b

copy_tree() { # target
  mkdir -p "$1"
  (cd "$root" && git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ -e "$file" ] && printf '%s\0' "$file"
  done | tar --null -T - -cf -) | tar -xf - -C "$1"
}

build_copy() { # folder
  local log=$1/build.log
  cmake -S "$1" -B "$1/build/release" -G Ninja -DVERGE_ORT_INCLUDE="$VERGE_ORT_INCLUDE" -DVERGE_CCACHE= >"$log" 2>&1 &&
    ninja -C "$1/build/release" verge_app_infer verge_app_verge >>"$log" 2>&1 || { tail -n 30 "$log" && return 1; }
}

package_copy() { # folder -> images.txt: image, digest, each layer's digest
  VERGE_HOME=$1/home "$1/build/release/bin/verge" package --solution "$1/$solution" -o json >"$1/images.json" || return 1
  python3 - "$1/images.json" >"$1/images.txt" <<'PYTHON'
import json, sys
for image in json.load(open(sys.argv[1])):
    print(image["image"], "image", image["digest"])
    for layer in image["layers"]:
        print(image["image"], layer["name"], layer["digest"])
PYTHON
}

count() { # exit code, name
  if [ "$1" = 0 ]; then
    passed=$((passed + 1)) && printf 'ok      %s\n' "$2"
  else
    failed=$((failed + 1)) && printf 'FAILED  %s\n' "$2"
  fi
}

# Both at once, so that work that goes on here meanwhile is in neither or in both.
copy_tree "$first" && copy_tree "$second" || fail 5 "cannot copy the tree to $work."
for folder in "$first" "$second"; do
  build_copy "$folder" && package_copy "$folder"
  code=$?
  count $code "build and package in $folder"
  [ $code = 0 ] || { printf '%s passed, %s failed\n' "$passed" "$failed"; exit 1; }
done
cmp "$first/build/release/bin/verge-infer" "$second/build/release/bin/verge-infer"
count $? "verge-infer has the same bytes"
while read -r image layer digest; do
  grep -qx "$image $layer $digest" "$second/images.txt"
  count $? "$image $layer $digest"
done <"$first/images.txt"
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
