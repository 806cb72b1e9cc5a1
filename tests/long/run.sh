#!/usr/bin/env bash
# What takes too long for every change: growth, soak, bad input, containers, kills, a cut network, fuzzers, equal images from two
# clones. Needs root and about an hour; ends with "N passed, N failed".
#
#   tests/long/run.sh [--minutes 30] [--programs FOLDER] [--only PIECE]      PIECE: growth soak bad_input containers kills cut fuzz images
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/lib.sh"
cd "$root"

minutes=30
programs=$root/build/release/bin
only=
while [ $# -gt 0 ]; do
  case $1 in
    --minutes) minutes=${2:-} ;;
    --programs) programs=${2:-} ;;
    --only) only=${2:-} ;;
    *) fail 2 "$1 is unknown." "usage: tests/long/run.sh [--minutes 30] [--programs FOLDER] [--only PIECE]" ;;
  esac
  shift 2 || fail 2 "the last option lacks its value."
done
[ -x "$programs/verge-infer" ] || fail 3 "there is no verge-infer in $programs." "Build first: ./dev build"
programs=$(cd "$programs" && pwd)
growth=$programs/../bin-long/runtime_growth
logs=$root/build/logs/long
mkdir -p "$logs"

passed=0
failed=0
# A piece that ends with "N passed, N failed" (or "N failed") adds its own count; another counts as one.
piece() { # name, command…
  local name=$1 log=$logs/$1.log begin=$SECONDS status=0 line
  shift
  [ -z "$only" ] || [[ $name == "$only"* ]] || return 0
  step "$name"
  "$@" >"$log" 2>&1 || status=$?
  line=$(grep -oE '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
  if [ -n "$line" ]; then
    passed=$((passed + ${line%% *}))
    line=${line#*, }
    line=${line%% *}
    [ "$line" -gt 0 ] || [ $status = 0 ] || line=1
    failed=$((failed + line))
  elif [ $status = 0 ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
  if [ $status = 0 ]; then
    tail -n 30 "$log"
    printf '    ok, %s s\n' $((SECONDS - begin))
  else
    tail -n 60 "$log"
    printf '    FAILED after %s s; the whole log: %s\n' $((SECONDS - begin)) "$log"
  fi
}

taught() { # a model of the product's own making, into $1
  mkdir -p "$1"
  printf '%s\n' 'purpose: A normal period.' 'version: 1' 'sources:' \
    '  pump: {kind: machine, rate_hz: 4, paced: false, minutes: 40}' 'sinks:' '  - csv: {path: pump.csv, inputs: [pump]}' >"$1/record.yaml"
  "$programs/verge-infer" "$1/record.yaml" --metrics off &&
    "$programs/verge" train telemetry "$1/pump.csv" --out "$1/pump"
}

growth_of_taught() {
  local work status=0
  work=$(mktemp -d /tmp/verge-long.XXXXXX)
  taught "$work" && "$growth" "$work/pump/model.onnx" || status=$?
  rm -rf "$work"
  return $status
}

growth_of_voice() {
  "$growth" "$VERGE_CACHE/models/silero-vad/silero_vad.onnx" --shape input=1,576 --shape state=2,1,128 --whole 16000
}

piece growth_taught growth_of_taught
piece growth_voice growth_of_voice
piece soak tests/long/soak.sh --minutes "$minutes" --programs "$programs" --csv "$logs/soak.csv"
piece bad_input tests/bad_input/run.sh "$programs"
piece containers tests/containers/check_agent.py --programs "$programs"
piece kills tests/outages/kills --kills 50 --programs "$programs"
piece cut tests/outages/network_cut --seconds 120 --programs "$programs"
piece fuzz ./dev fuzz 60
piece images tests/images/two_clones.sh

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
