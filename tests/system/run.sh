#!/usr/bin/env bash
# The whole product in a namespace without a way out: hub, agent, engine, containers, Azure's SDKs, the page in a browser.
# Needs root. Prints one line per check and "N passed, N failed".
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/lib.sh"
. "$here/namespace.sh"
cd "$root"

passed=0
failed=0
check() { # name, command…
  local name=$1 begin=$SECONDS
  shift
  if "$@"; then
    passed=$((passed + 1))
    printf 'ok      %s (%s s)\n' "$name" $((SECONDS - begin))
  else
    failed=$((failed + 1))
    printf 'FAILED  %s (%s s)\n' "$name" $((SECONDS - begin))
  fi
}

work=$(mktemp -d /tmp/verge-system.XXXXXX)
export VERGE_HOME=$work/home
verge=$root/build/release/bin/verge

clean_up() {
  inside "$verge" down >/dev/null 2>&1
  remove_namespace
  rm -rf "$work"
}
trap clean_up EXIT

prepare_sdks() {
  [ -x "$VERGE_CACHE/sdk/bin/python" ] && return 0
  python3 -m venv "$VERGE_CACHE/sdk" &&
    "$VERGE_CACHE/sdk/bin/pip" install -q --disable-pip-version-check azure-iot-device==2.14.0 azure-iot-hub==2.7.0 six
}

prepare_browser() {
  [ -d "$root/tests/browser/node_modules/playwright-core" ] && return 0
  (cd "$root/tests/browser" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm install --silent --no-audit --no-fund)
}

nothing_is_left() {
  inside "$verge" down || return 1
  ! pgrep -f "$VERGE_HOME" >/dev/null && ! grep -q "$VERGE_HOME" /proc/self/mounts &&
    [ -z "$(inside ip -br link | grep -v '^lo ')" ]
}

make_namespace || fail 5 "cannot make a network namespace; run as root."
check "the SDKs are installed" prepare_sdks
check "the browser driver is installed" prepare_browser
check "verge up" inside "$verge" up --solution "$root/examples/first_light" --quiet
check "a second verge up adopts what runs" inside "$verge" up --solution "$root/examples/first_light" --quiet
check "stock Python SDKs as device and service" inside "$VERGE_CACHE/sdk/bin/python" tests/sdk/python_device_service.py "$VERGE_HOME/hub/connection.json"
check "three live results match the truth" inside "$verge" check --truth "$root/examples/first_light/truth"
check "the page in a browser" inside node tests/browser/page.mjs http://127.0.0.1:8080 admin "$VERGE_HOME/hub/first-password"
check "verge down leaves nothing" nothing_is_left

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
