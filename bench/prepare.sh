#!/usr/bin/env bash
# Gets the peers of `./dev bench vision|audio|cameras|still_camera|ingest` into the cache, each through its ordinary client; once.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../tools/lib.sh"

nats_version=2.12.2
folder=$VERGE_CACHE/bench

install_peers() { # requirements, folder of the virtual environment
  if cmp -s "$1" "$2/requirements.txt"; then
    return 0
  fi
  step "Python peers of $(basename "$1"), $(grep -c == "$1") packages"
  rm -rf "$2"
  python3 -m venv "$2" || fail 5 "python3 cannot make a virtual environment." "Install python3-venv."
  "$2/bin/pip" install -q --disable-pip-version-check -r "$1" ||
    fail 5 "the Python peers could not be installed." "Check the network and try again."
  cp "$1" "$2/requirements.txt"
}

prepare_vision() {
  command -v ffmpeg >/dev/null || fail 3 "the benchmark makes its pictures with ffmpeg." "Install Debian's package ffmpeg."
  "$root/tools/fetch.sh" onnxruntime nanodet film
  install_peers "$root/bench/requirements.txt" "$folder/venv"
}

prepare_audio() {
  command -v ffmpeg >/dev/null || fail 3 "the benchmark makes its clips with ffmpeg." "Install Debian's package ffmpeg."
  "$root/tools/fetch.sh" onnxruntime moonshine-tiny moonshine-tokenizer moonshine-base moonshine-base-tokenizer silero-vad voices
  install_peers "$root/bench/requirements-audio.txt" "$folder/venv-audio"
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
