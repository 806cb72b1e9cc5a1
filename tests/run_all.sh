#!/usr/bin/env bash
# What ./test runs after set-up. Every step counts as passed or failed; the last line is "N passed, N failed".
#
# After the build two tracks run at once: one computes, the other mostly waits (for cameras that come back, programs that were
# killed, a network that was cut, films that play in their own time). Each step has a namespace and folders of its own.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../tools/lib.sh"
cd "$root"

logs=$root/build/logs
verdicts=$logs/verdicts # A line per step: name, passed, failed.
mkdir -p "$logs"
: >"$verdicts"

# A step prints what it does; a program with its own count line ("N passed, N failed", or ctest's) adds that count.
run_step() { # name, command…
  local name=$1 log=$logs/$1.log begin=$SECONDS ok=1 good bad
  shift
  step "$name"
  "$@" >"$log" 2>&1 || ok=0
  read -r good bad < <(count_of "$log")
  if [ $ok = 1 ]; then
    printf '    %s: ok, %s passed, %s s\n' "$name" "$good" $((SECONDS - begin))
    bad=0
  else
    printf '%s\n    %s: FAILED after %s s; the whole log: build/logs/%s.log\n' "$(tail -n 60 "$log")" "$name" $((SECONDS - begin)) "$name"
    [ "$bad" -gt 0 ] || { good=0 && bad=1; }
  fi
  printf '%s %s %s\n' "$name" "$good" "$bad" >>"$verdicts"
}

count_of() { # log -> "passed failed"
  local total bad
  if total=$(grep -oE '[0-9]+ tests failed out of [0-9]+' "$1" | tail -n 1) && [ -n "$total" ]; then
    bad=${total%% *}
    echo "$((${total##* } - bad)) $bad"
  elif total=$(grep -oE '^[0-9]+ passed, [0-9]+ failed' "$1" | tail -n 1) && [ -n "$total" ]; then
    bad=${total#*, }
    echo "${total%% *} ${bad%% *}"
  else
    echo "1 0"
  fi
}

# Namespaces and containers need root; each of these makes its own and leaves nothing.
whole() { # name, command…
  run_step "$1" run_as_root "${@:2}"
}
run_as_root() { (exec_as_root "$@"); }

computing() {
  run_step labels python3 tests/labels/run.py
  run_step unit ./dev test
  whole setup tests/setup/errors.sh
  run_step teach tests/teach/run.sh build/release/bin
  run_step access tests/access/run.sh build/release/bin
  whole system tests/system/run.sh
}

waiting() {
  whole bad_input tests/bad_input/run.sh build/release/bin
  whole cameras tests/cameras/run.sh build/release/bin
  whole microphones tests/microphones/run.sh build/release/bin
  whole transcripts tests/transcripts/run.sh build/release/bin
  whole home_assistant tests/home_assistant/run.sh build/release/bin
  whole kills tests/outages/kills --kills 6
  whole network_cut tests/outages/network_cut --seconds 20
  whole solutions tests/solutions/run.sh build/release/bin
}

run_step tidy ./dev tidy --fast
run_step build ./dev build
set -m # The track has a process group of its own, so that an interrupt can end all of it.
waiting &
track=$!
set +m
trap 'kill -TERM -- "-$track" 2>/dev/null; exit 130' INT TERM
computing
wait "$track" || fail 70 "the waiting track ended before its time."

awk '$3 > 0 { failures = failures " " $1 } { passed += $2; failed += $3 }
     END { if (failures) print "failed:" failures; printf "%d passed, %d failed\n", passed, failed; exit (failed > 0) }' "$verdicts"
