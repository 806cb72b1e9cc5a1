#!/usr/bin/env bash
# Every ready solution of examples/ under the agent, by the commands of its guide. Needs root; about four minutes; ends with
# "N passed, N failed".
#
#   tests/solutions/run.sh [FOLDER_WITH_PROGRAMS [OPTIONS of check_solutions.py]]
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/lib.sh"
. "$here/../system/namespace.sh"

programs=${1:-$root/build/release/bin}
[ -x "$programs/verge" ] || fail 3 "there is no verge in $programs." "Build first: ./dev build"
programs=$(cd "$programs" && pwd)
for file in models/nanodet/nanodet.json media/film/vtest.avi media/portrait/astronaut.png; do
  [ -f "$VERGE_CACHE/$file" ] || fail 3 "there is no $file in $VERGE_CACHE." "Fetch it first: tools/fetch.sh && tools/fetch.sh portrait"
done
trap remove_namespace EXIT
make_namespace || fail 5 "cannot make a network namespace; run as root."
inside env PYTHONDONTWRITEBYTECODE=1 python3 "$here/check_solutions.py" "$programs" "$VERGE_CACHE" "${@:2}"
