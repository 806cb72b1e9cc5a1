#!/usr/bin/env bash
# Bad input at the real programs: command lines, files, wire, full disks. Needs root; ends with "N passed, N failed".
#
#   tests/bad_input/run.sh [FOLDER_WITH_PROGRAMS]
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/lib.sh"
. "$here/../system/namespace.sh"

programs=${1:-$root/build/release/bin}
[ -x "$programs/verge-hub" ] || fail 3 "there is no verge-hub in $programs." "Build first: ./dev build"
programs=$(cd "$programs" && pwd)
work=$(mktemp -d /tmp/verge-bad-input.XXXXXX)
clean_up() {
  remove_namespace
  rm -rf "$work"
}
trap clean_up EXIT
make_namespace || fail 5 "cannot make a network namespace; run as root."
inside ip address add 172.31.94.1/24 dev lo

passed=0
failed=0
part() { # name, command…
  local name=$1 log=$work/$1.log line
  shift
  step "$name"
  "$@" 2>&1 | tee "$log"
  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
  if [ -n "$line" ]; then
    passed=$((passed + ${line%% passed*}))
    line=${line#*, }
    failed=$((failed + ${line%% *}))
  else
    echo "FAILED  $name did not run to its end"
    failed=$((failed + 1))
  fi
}

part programs inside python3 "$here/programs.py" "$programs"
part wire inside python3 "$here/wire.py" "$programs"
# Mounts stay in a namespace of their own and go with it.
part full_disk inside unshare --mount --propagation private python3 "$here/full_disk.py" "$programs" "$work"

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
