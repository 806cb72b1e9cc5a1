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
