#!/usr/bin/env bash
# Microphones that are real senders on loopback, and how verge-infer and verge live with them. Needs root; under a minute;
# ends with "N passed, N failed".
#
#   tests/microphones/run.sh [FOLDER_WITH_PROGRAMS]
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/lib.sh"
. "$here/../system/namespace.sh"

programs=${1:-$root/build/release/bin}
[ -x "$programs/verge-infer" ] && [ -x "$programs/verge" ] || fail 3 "there is no verge-infer, or no verge, in $programs." "Build first: ./dev build"
programs=$(cd "$programs" && pwd)
for file in models/moonshine-tiny/decoder.onnx models/silero-vad/silero_vad.onnx media/speech/beckett.wav; do
  [ -f "$VERGE_CACHE/$file" ] || fail 3 "there is no $file in $VERGE_CACHE." "Fetch it first: tools/fetch.sh"
done
command -v ffmpeg >/dev/null || fail 3 "there is no ffmpeg." "Install Debian's package ffmpeg; ./test does."
trap remove_namespace EXIT
make_namespace || fail 5 "cannot make a network namespace; run as root."
inside env PYTHONDONTWRITEBYTECODE=1 VERGE_CACHE="$VERGE_CACHE" python3 "$here/check_microphones.py" "$programs"
