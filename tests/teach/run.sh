#!/usr/bin/env bash
# Teaches from generated pictures with the real programs; under a minute; ends with "N passed, N failed".
#
#   tests/teach/run.sh [FOLDER_WITH_PROGRAMS]
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/lib.sh"

programs=${1:-$root/build/release/bin}
[ -x "$programs/verge-infer" ] || fail 3 "there is no verge-infer in $programs." "Build first: ./dev build"
[ -f "$VERGE_CACHE/models/nanodet/nanodet.json" ] || fail 3 "there is no detector in $VERGE_CACHE." "Fetch it first: tools/fetch.sh"
export VERGE_CACHE
PYTHONDONTWRITEBYTECODE=1 exec python3 "$here/check_teach.py" "$(cd "$programs" && pwd)"
