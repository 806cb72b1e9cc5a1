#!/usr/bin/env bash
# Runs soak.py in a network namespace without a way out and in a home of its own; removes both. Needs root.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/lib.sh"
. "$here/../system/namespace.sh"

work=$(mktemp -d /tmp/verge-soak.XXXXXX)
export VERGE_HOME=$work/home
clean_up() {
  remove_namespace
  rm -rf "$work"
}
trap clean_up EXIT
make_namespace || fail 5 "cannot make a network namespace; run as root."
inside python3 "$here/soak.py" "$@"
