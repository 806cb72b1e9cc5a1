#!/usr/bin/env bash
# Recordings to reviewed transcripts and back, by the words of docs/transcripts.md. Needs root; under a minute; ends with
# "N passed, N failed".
#
#   tests/transcripts/run.sh [FOLDER_WITH_PROGRAMS [OPTIONS of check_transcripts.py]]
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/lib.sh"
. "$here/../system/namespace.sh"

programs=${1:-$root/build/release/bin}
[ -x "$programs/verge" ] || fail 3 "there is no verge in $programs." "Build first: ./dev build"
programs=$(cd "$programs" && pwd)
for file in models/moonshine-tiny/decoder.onnx models/silero-vad/silero_vad.onnx media/speech/beckett.wav; do
  [ -f "$VERGE_CACHE/$file" ] || fail 3 "there is no $file in $VERGE_CACHE." "Fetch it first: tools/fetch.sh"
done
prepare_browser || fail 5 "cannot fetch the browser's driver with npm."
trap remove_namespace EXIT
make_namespace || fail 5 "cannot make a network namespace; run as root."
inside env PYTHONDONTWRITEBYTECODE=1 VERGE_CACHE="$VERGE_CACHE" python3 "$here/check_transcripts.py" "$programs" "${@:2}"
