# Sourced by the scripts: messages, checks of the machine, and where things are kept.
# shellcheck shell=bash

# Exit codes follow the table of base/result.h: 2 invalid, 3 not found, 4 conflict, 5 unavailable, 7 limit.
say() { printf '%s\n' "$*"; }
step() { printf '==> %s\n' "$*"; }
fail() { # exit code, message, next step
  printf 'verge: %s\n' "$2" >&2
  [ -n "${3:-}" ] && printf '       %s\n' "$3" >&2
  exit "$1"
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
: "${VERGE_HOME:=${XDG_DATA_HOME:-$HOME/.local/share}/verge}"
: "${VERGE_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/verge}"
export VERGE_HOME VERGE_CACHE
export VERGE_ORT_INCLUDE=$VERGE_CACHE/onnxruntime/include
export VERGE_ONNXRUNTIME=$VERGE_CACHE/onnxruntime/lib/libonnxruntime.so.1
export ORT_DISABLE_TELEMETRY=1

require_supported_system() {
  local id version machine
  id=$(. /etc/os-release 2>/dev/null && printf '%s' "${ID:-}")
  version=$(. /etc/os-release 2>/dev/null && printf '%s' "${VERSION_ID:-}")
  machine=$(uname -m)
  [ "$id" = debian ] && [ "$version" = 12 ] ||
    fail 2 "this machine runs ${id:-an unknown system} ${version:-}; set-up supports Debian 12." \
      "Use a Debian 12 machine or container."
  [ "$machine" = x86_64 ] ||
    fail 2 "this machine is $machine; set-up supports x86_64 for now."
}

require_disk() { # megabytes, folder
  local have folder=$2
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  have=$(df -Pm "$folder" | awk 'NR == 2 { print $4 }')
  [ "$have" -ge "$1" ] ||
    fail 7 "$folder has $have MB free, set-up needs $1 MB." "Free some room, or set VERGE_HOME and VERGE_CACHE to another disk."
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

packages_for() { # purposes…
  local purpose
  for purpose in "$@"; do
    awk -F '\t' -v purpose="$purpose" '$1 == purpose { print $2 }' "$root/tools/packages.txt"
  done | tr ' ' '\n' | sort -u
}

# Installs what is missing, and only that: a machine that has all needs no network.
install_packages() { # purposes…
  local missing=() name
  for name in $(packages_for "$@"); do
    provides "$name" || missing+=("$name")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    return 0
  fi
  step "installing ${#missing[@]} Debian packages"
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
    fail 5 "packages are missing (${missing[*]}) and neither root nor sudo is available." "Run as root, or install them first."
  as_root apt-get update -qq || fail 5 "apt-get update failed." "Check the network and the package sources, then run this again."
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$VERGE_CACHE/apt.log" 2>&1 ||
    fail 5 "apt-get install failed; the last lines are: $(tail -n 3 "$VERGE_CACHE/apt.log")" "The whole log: $VERGE_CACHE/apt.log"
}

# A package counts as there when dpkg has it, or (npm, git, python3) when another installation offers the program.
provides() {
  case $1 in
    npm | git | python3 | ccache | cmake | unzip) command -v "$1" >/dev/null && return 0 ;;
    python3-pip) python3 -m pip --version >/dev/null 2>&1 && return 0 ;;
  esac
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# True when a container engine of the user's answers; otherwise `verge up` runs one of its own.
engine_answers() {
  local socket
  for socket in "${VERGE_ENGINE_SOCKET:-}" /var/run/docker.sock /run/podman/podman.sock; do
    [ -S "$socket" ] && python3 - "$socket" <<'PYTHON' 2>/dev/null && return 0
import socket, sys
engine = socket.socket(socket.AF_UNIX)
engine.settimeout(3)
engine.connect(sys.argv[1])
engine.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
sys.exit(0 if b" 200 " in engine.recv(64) else 1)
PYTHON
  done
  return 1
}

# The agent makes networks and containers and binds ports below 1024, so the programs run as root. Set-up and build do not.
exec_as_root() {
  if [ "$(id -u)" = 0 ]; then exec "$@"; fi
  command -v sudo >/dev/null ||
    fail 5 "Verge runs containers and needs root for it; this is user $(id -un), and there is no sudo." "Run it as root, or install sudo."
  exec sudo env VERGE_HOME="$VERGE_HOME" VERGE_CACHE="$VERGE_CACHE" VERGE_ONNXRUNTIME="$VERGE_ONNXRUNTIME" \
    ORT_DISABLE_TELEMETRY=1 "$@"
}
