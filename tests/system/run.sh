#!/usr/bin/env bash
# The whole product in a namespace without a way out: hub, agent, engine, containers, Azure's SDKs, the page in a browser.
# Needs root. Prints a line per check, for a failed one also why, and "N passed, N failed".
#
#   VERGE_BIN    the folder of the programs (default build/release/bin)
#   VERGE_CACHE  models and media, the SDKs; everything else is made in a folder that is removed at the end
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/lib.sh"
. "$here/namespace.sh"
cd "$root" || exit 5

passed=0
failed=0
slowness=3 # How much slower than ours a machine may be; limits below are for ours, and cost time only on a failure.
work=$(mktemp -d /tmp/verge-system.XXXXXX)
export VERGE_HOME=$work/home
verge=$(cd "${VERGE_BIN:-$root/build/release/bin}" 2>/dev/null && pwd)/verge
sdk=$VERGE_CACHE/sdk
page=http://127.0.0.1:8080

count() { # ok or FAILED, name, seconds
  if [ "$1" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  printf '%-7s %s%s\n' "$1" "$2" "${3:+ ($3 s)}"
}

# One check. What the command says is shown when it fails.
check() { # seconds at most, name, command…
  local limit=$1 name=$2 begin=$SECONDS log=$work/check.log code=0
  shift 2
  run_within "$limit" "$@" >"$log" 2>&1 || code=$?
  if [ $code = 0 ]; then
    count ok "$name" $((SECONDS - begin))
    return 0
  fi
  count FAILED "$name" $((SECONDS - begin))
  explain "$code" "$limit" "$log"
  return 1
}

# A program that prints a line per check of its own, beginning with ok, pass or FAIL: each counts.
check_each() { # seconds at most, name, command…
  local limit=$1 name=$2 begin=$SECONDS log=$work/check.log code=0 line bad=0
  shift 2
  run_within "$limit" "$@" >"$log" 2>&1 || code=$?
  while IFS= read -r line; do
    case $line in
      'ok '* | 'pass '*) count ok "$name: $(trim "${line#* }")" ;;
      'FAIL '*) bad=1 && count FAILED "$name: $(trim "${line#* }")" ;;
    esac
  done <"$log"
  printf '        %s took %s s\n' "$name" $((SECONDS - begin))
  [ $code = 0 ] && return 0
  [ $bad = 1 ] || count FAILED "$name: ends without a failed check"
  explain "$code" "$limit" "$log"
  return 1
}

trim() { sed 's/^ *//' <<<"$1"; }

# Programs in the namespace are ended when they take too long; functions of this file bound their own.
run_within() { # seconds, command…
  if [ "$2" = inside ]; then inside timeout --kill-after=10 $(($1 * slowness)) "${@:3}"; else "${@:2}"; fi
}

explain() { # exit code, limit, log
  if [ "$1" = 124 ]; then printf '        it took more than %s s\n' $(($2 * slowness)); else printf '        it ended with %s\n' "$1"; fi
  tail -n 40 "$3" | sed 's/^/        /'
}

# The last words of every program, for failures that only they explain.
show_logs() {
  local log
  for log in "$VERGE_HOME"/log/*.log; do
    [ -f "$log" ] && printf -- '--- %s\n' "${log#"$work"/}" && tail -n 15 "$log" | cut -c 1-400
  done
  for log in vision audio machine telemetry; do
    printf -- '--- module %s\n' "$log"
    inside timeout 20 "$verge" logs "$log" 2>&1 | tail -n 8 | cut -c 1-400
  done
}

clean_up() {
  trap - EXIT
  trap '' INT TERM
  [ ! -d "$VERGE_HOME" ] || inside timeout 90 "$verge" down >"$work/down.log" 2>&1 || cat "$work/down.log"
  remove_namespace
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

prepare_sdks() {
  local wanted
  wanted=$(md5sum <"$root/tests/sdk/requirements.txt")
  [ -x "$sdk/bin/python" ] && [ "$(cat "$sdk/installed" 2>/dev/null)" = "$wanted" ] && return 0
  rm -rf "$sdk"
  # Debian's Python: the module's image holds that one too, and both read the same packages.
  /usr/bin/python3 -m venv "$sdk" &&
    "$sdk/bin/pip" install -q --disable-pip-version-check -r "$root/tests/sdk/requirements.txt" &&
    printf '%s\n' "$wanted" >"$sdk/installed"
}

device_name() { inside "$verge" device list -o json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])'; }

# The programs and containers of the first start are the ones that run after the second.
second_up_adopts() {
  local before after
  before=$(running) && inside timeout $((60 * slowness)) "$verge" up --solution "$root/examples/first_light" --quiet && after=$(running) || return 1
  [ "$before" = "$after" ] || {
    diff <(echo "$before") <(echo "$after")
    return 1
  }
}

# The process numbers of supervisor, hub, agent, engine and of each container's monitor.
running() { pgrep -f "$VERGE_HOME" | sort -n; }

# Somebody who may only look, from the command line to the page's own calls; the last administrator stays.
viewer_only_looks() {
  printf 'correct horse\n' | inside "$verge" people add lobby --role viewer || return 1
  inside "$verge" people list -o json | grep '"user": *"lobby"' || return 1
  inside python3 - "$page" "$device" <<'PYTHON' || return 1
import json, sys, urllib.error, urllib.request

page, device = sys.argv[1:]


def send(method, path, body=None, cookie=""):
    headers = {"Content-Type": "application/json", "X-Verge": "1", "Cookie": cookie}
    request = urllib.request.Request(page + path, body and json.dumps(body).encode(), headers, method=method)
    try:
        answer = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, (answer.headers["Set-Cookie"] or "").split(";")[0]


status, cookie = send("POST", "/api/v1/login", {"user": "lobby", "password": "correct horse"})
seen = [status, send("GET", "/api/v1/devices", cookie=cookie)[0],
        send("PATCH", f"/twins/{device}/modules/vision", {"properties": {"desired": {"pipeline": {}}}}, cookie)[0]]
print(seen)
sys.exit(seen != [200, 200, 403])
PYTHON
  inside "$verge" people remove lobby || return 1
  ! inside "$verge" people remove admin
}

# That they also do what they are for: tests/solutions.
examples_are_sound() {
  local file bad=0
  for file in "$root"/examples/*/{vision,audio,telemetry,record,machine}.yaml; do
    [ ! -e "$file" ] || "$(dirname "$verge")/verge-infer" --check --pipeline "$file" || bad=1
  done
  return $bad
}

nothing_is_left() {
  inside timeout $((90 * slowness)) "$verge" down || return 1
  local left=0
  if pgrep -af "$VERGE_HOME"; then left=1 && echo "these processes are left"; fi
  if grep "$VERGE_HOME" /proc/self/mounts; then left=1 && echo "these mounts are left"; fi
  if inside ip -br link | grep -v '^lo '; then left=1 && echo "these network devices are left"; fi
  return $left
}

[ -x "$verge" ] || fail 3 "there is no program $verge." "Build with ./dev build, or set VERGE_BIN to the folder of the programs."
make_namespace || fail 5 "cannot make a network namespace; run as root."
check 300 "the SDKs are installed" prepare_sdks || exit 1
check 120 "the browser driver is installed" prepare_browser || exit 1

check 300 "verge up" inside "$verge" up --solution "$root/examples/first_light" --quiet || { show_logs; exit 1; }
device=$(device_name)
check 60 "a second verge up adopts what runs" second_up_adopts
check 60 "a viewer only looks, the last administrator stays" viewer_only_looks
check_each 120 "Azure's Python SDKs" inside "$sdk/bin/python" tests/sdk/python_device_service.py "$VERGE_HOME/hub/connection.json"
check_each 180 "Azure's Python SDK in a container" \
  inside "$sdk/bin/python" tests/sdk/python_edge_module.py "$VERGE_HOME/hub/connection.json" "$device"
# Before the check against the truth, after which the machine's simulated clock is ahead of the reader's.
check_each 300 "the page" inside node tests/browser/page.mjs "$page" admin "$VERGE_HOME/hub/first-password"
check 400 "three live results match the truth" inside "$verge" check --truth "$root/examples/first_light/truth"
check 20 "every example's pipelines are sound" examples_are_sound
[ "$failed" = 0 ] || show_logs
check 100 "verge down leaves nothing" nothing_is_left

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
