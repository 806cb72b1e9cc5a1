# Sourced by the system tests: a network namespace of their own with loopback only, so that nothing can be sent anywhere.
# shellcheck shell=bash

namespace=verge-test-$$

make_namespace() {
  ip netns add "$namespace"
  nsenter --net="/run/netns/$namespace" ip link set lo up
  [ -z "$(nsenter --net="/run/netns/$namespace" ip route show default)" ]
}

# nsenter, not `ip netns exec`: the latter remounts /sys, and the container runtime would not find its cgroups.
inside() { nsenter --net="/run/netns/$namespace" "$@"; }

remove_namespace() { ip netns del "$namespace" 2>/dev/null || true; }

# The driver of tests/browser, once; two tests may want it at the same time.
prepare_browser() {
  local folder=$root/tests/browser
  (
    flock 9
    [ -f "$folder/node_modules/.package-lock.json" ] && [ ! "$folder/package-lock.json" -nt "$folder/node_modules/.package-lock.json" ] && exit 0
    cd "$folder" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --silent --no-audit --no-fund
  ) 9<"$folder/package.json"
}
