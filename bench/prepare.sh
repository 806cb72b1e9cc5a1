#!/usr/bin/env bash
# Gets the peers of `./dev bench vision|cameras|still_camera|ingest` into the cache, each through its ordinary client; once.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../tools/lib.sh"

nats_version=2.12.2
folder=$VERGE_CACHE/bench

prepare_vision() {
  command -v ffmpeg >/dev/null || fail 3 "the benchmark makes its pictures with ffmpeg." "Install Debian's package ffmpeg."
  "$root/tools/fetch.sh" onnxruntime nanodet film
  if cmp -s "$root/bench/requirements.txt" "$folder/venv/requirements.txt"; then
    return 0
  fi
  step "Python peers: $(grep -v '^#' "$root/bench/requirements.txt" | tr '\n' ' ')"
  rm -rf "$folder/venv"
  python3 -m venv "$folder/venv" || fail 5 "python3 cannot make a virtual environment." "Install python3-venv."
  "$folder/venv/bin/pip" install -q --disable-pip-version-check -r "$root/bench/requirements.txt" ||
    fail 5 "the Python peers could not be installed." "Check the network and try again."
  cp "$root/bench/requirements.txt" "$folder/venv/requirements.txt"
}

prepare_ingest() { # options of the benchmark
  local needed
  for needed in openssl unshare ip; do
    command -v "$needed" >/dev/null || fail 3 "the benchmark needs the program $needed." "Install its Debian package."
  done
  if [[ "$*" != *--peers* || "$*" == *mosquitto* ]] && ! command -v mosquitto >/dev/null; then
    fail 3 "mosquitto is not installed." "Install it (its package starts a server on port 1883), or name other --peers."
  fi
  if [[ "$*" == *--peers* && "$*" != *jetstream* ]] || "$folder/nats/nats-server" --version 2>/dev/null | grep -q "v$nats_version"; then
    return 0
  fi
  command -v go >/dev/null || fail 3 "nats-server $nats_version is built with Go, which is not installed." \
    "Install Go 1.24 or newer, or leave JetStream out: --peers mosquitto"
  step "building nats-server $nats_version"
  GOBIN=$folder/nats go install "github.com/nats-io/nats-server/v2@v$nats_version" ||
    fail 5 "nats-server $nats_version could not be built." "It needs Go 1.24 or newer and the network."
}

prepare_cameras() { prepare_vision; }

prepare_still_camera() { prepare_vision; }

mkdir -p "$folder"
"prepare_$1" "${@:2}"
