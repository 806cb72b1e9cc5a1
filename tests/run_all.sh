#!/usr/bin/env bash
# What ./test runs after set-up. Every step counts as passed or failed; the last line is "N passed, N failed".
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../tools/lib.sh"
cd "$root"

passed=0
failed=0
failures=()

# A step prints what it does; a program with its own count line ("N passed, N failed", or ctest's) adds that count.
run_step() { # name, command…
  local name=$1 log=$root/build/logs/$1.log begin=$SECONDS ok=1 counted
  shift
  mkdir -p "$root/build/logs"
  step "$name"
  "$@" >"$log" 2>&1 || ok=0
  counted=$(count_of "$log")
  if [ $ok = 1 ]; then
    passed=$((passed + ${counted% *}))
    printf '    ok, %s passed, %s s\n' "${counted% *}" $((SECONDS - begin))
  else
    tail -n 60 "$log"
    printf '    FAILED after %s s; the whole log: build/logs/%s.log\n' $((SECONDS - begin)) "$name"
    passed=$((passed + (${counted% *} > 1 ? ${counted% *} : 0)))
    failed=$((failed + (${counted#* } > 0 ? ${counted#* } : 1)))
    failures+=("$name")
  fi
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

run_step tidy ./dev tidy --fast
run_step build ./dev build
run_step unit ./dev test
# Namespaces and containers need root; each of these makes its own and leaves nothing.
whole() { # name, command…
  run_step "$1" run_as_root "${@:2}"
}
run_as_root() { (exec_as_root "$@"); }

whole setup tests/setup/errors.sh
whole system tests/system/run.sh
whole bad_input tests/bad_input/run.sh build/release/bin
run_step teach tests/teach/run.sh build/release/bin
whole cameras tests/cameras/run.sh build/release/bin
whole kills tests/outages/kills --kills 6
whole network_cut tests/outages/network_cut --seconds 20

[ ${#failures[@]} -eq 0 ] || printf 'failed: %s\n' "${failures[*]}"
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
