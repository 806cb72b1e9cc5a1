#!/usr/bin/env bash
# The sink home_assistant with a real broker; needs root; under half a minute; ends with "N passed, N failed".
#
#   tests/home_assistant/run.sh [FOLDER_WITH_PROGRAMS]
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/lib.sh"
. "$here/../system/namespace.sh"

programs=${1:-$root/build/release/bin}
[ -x "$programs/verge-infer" ] || fail 3 "there is no verge-infer in $programs." "Build first: ./dev build"
programs=$(cd "$programs" && pwd)
for file in models/nanodet/nanodet.json media/film/vtest.avi; do
  [ -f "$VERGE_CACHE/$file" ] || fail 3 "there is no $file in $VERGE_CACHE." "Fetch it first: tools/fetch.sh"
done
mosquitto=$VERGE_CACHE/tools/mosquitto
[ -x "$mosquitto" ] || mosquitto=$(command -v mosquitto) || fail 3 "there is no mosquitto." "Fetch it first: tools/fetch.sh mosquitto"
command -v mosquitto_sub >/dev/null || fail 3 "there is no mosquitto_sub." "Install Debian's package mosquitto-clients; ./test does."
trap remove_namespace EXIT
make_namespace || fail 5 "cannot make a network namespace; run as root."
inside env PYTHONDONTWRITEBYTECODE=1 python3 "$here/check_home.py" "$programs" "$VERGE_CACHE" "$mosquitto"
