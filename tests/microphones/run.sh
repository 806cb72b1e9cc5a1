#!/usr/bin/env bash
# Microphones that are real senders on loopback, and how verge-infer and verge live with them. Needs root; about half a minute;
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
command -v ffmpeg >/dev/null || fail 3 "there is no ffmpeg." "Install Debian's package ffmpeg; ./test does."
trap remove_namespace EXIT
make_namespace || fail 5 "cannot make a network namespace; run as root."
inside env PYTHONDONTWRITEBYTECODE=1 python3 "$here/check_microphones.py" "$programs"
