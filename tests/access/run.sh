#!/usr/bin/env bash
# Enrols, lets in, refuses and forgets with the real programs and models; ends with "N passed, N failed".
#
#   tests/access/run.sh [FOLDER_WITH_PROGRAMS]
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/lib.sh"

programs=${1:-$root/build/release/bin}
[ -x "$programs/verge-infer" ] || fail 3 "there is no verge-infer in $programs." "Build first: ./dev build"
[ -f "$VERGE_CACHE/media/portrait/astronaut.png" ] || fail 3 "there is no portrait in $VERGE_CACHE." "Fetch it first: tools/fetch.sh"
export VERGE_CACHE
PYTHONDONTWRITEBYTECODE=1 exec python3 "$here/check_access.py" "$(cd "$programs" && pwd)"
