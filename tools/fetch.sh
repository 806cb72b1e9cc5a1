#!/usr/bin/env bash
# Fetches pinned models, media and ONNX Runtime into $VERGE_CACHE: fetch.sh [ITEM…] (default: all of tools/downloads.tsv but those
# with a question mark).
#
# Nothing half-fetched: each item is unpacked beside its place and moved there after its checksum was right. What is
# there already is not fetched again, so a second run needs no network.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

list=$root/tools/downloads.tsv

download_npm() { # package, version, folder
  (cd "$3" && npm pack --silent "$1@$2" >/dev/null)
}

download_pip() {
  python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 \
    --implementation cp --abi cp311 --abi abi3 --abi none --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
    --platform any -d "$3" "$1==$2"
}

download_deb() {
  (cd "$3" && apt-get download -qq -o APT::Sandbox::User=root "$1=$2" 2>/dev/null) ||
    (cd "$3" && apt-get download -qq -o APT::Sandbox::User=root "$1")
}

# From the next Debian release, through an apt state of its own: nothing of this machine's apt changes.
download_deb_next() {
  local state=$3/apt options
  mkdir -p "$state/etc" "$state/lists/partial" "$state/cache/archives/partial"
  # This machine's own way to Debian, whichever of apt's two notations it uses, with the next release's name in it.
  cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed '/^#/d' |
    awk 'BEGIN { RS = ""; ORS = "\n\n" } /(^|\n)Suites:[^\n]* bookworm( |\n|$)/' |
    sed 's/^Suites:.*/Suites: trixie/; s/^Components:.*/Components: main/' >"$state/etc/next.sources"
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
    sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) bookworm .*/deb \1\2 trixie main/p' | head -n 1 >"$state/etc/next.list"
  options=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$state/etc" -o "Dir::State::Lists=$state/lists"
    -o "Dir::Cache=$state/cache" -o APT::Sandbox::User=root -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false)
  apt-get -qq "${options[@]}" update && (cd "$3" && apt-get -qq "${options[@]}" download "$1") && rm -rf "$state"
}

unpack() { # archive, folder
  case $1 in
    *.tgz) tar -xzf "$1" -C "$2" ;;
    *.whl) unzip -qo "$1" -d "$2" ;;
    *.deb) dpkg-deb -x "$1" "$2" ;;
  esac
}

is_there() { # files
  local pair
  for pair in $1; do
    [ -e "$VERGE_CACHE/${pair#*=}" ] || return 1
  done
}

fetch_item() { # item client package version megabytes sha256 files
  local item=$1 client=$2 package=$3 version=$4 megabytes=$5 expected=$6 files=$7 archive actual pair target
  if is_there "$files"; then
    return 0
  fi
  step "fetching $item: $package $version ($megabytes MB, $client)"
  work=$(mktemp -d "$VERGE_CACHE/fetch.XXXXXX")
  "download_${client//-/_}" "$package" "$version" "$work" ||
    fail 5 "could not download $package $version with $client." "Check the network and try again; nothing was changed."
  archive=$(find "$work" -maxdepth 1 -type f | head -n 1)
  actual=$(sha256sum "$archive" | cut -d ' ' -f 1)
  if [ "$expected" != - ] && [ "$actual" != "$expected" ]; then
    fail 5 "$package $version has SHA-256 $actual, expected $expected; it was thrown away." "Try again; if it stays so, the package was changed."
  fi
  mkdir "$work/files"
  unpack "$archive" "$work/files" || fail 5 "$archive cannot be unpacked." "Try again; nothing was changed."
  for pair in $files; do
    target=$VERGE_CACHE/${pair#*=}
    mkdir -p "$(dirname "$target")"
    [ -e "$work/files/${pair%%=*}" ] || fail 5 "$package $version holds no ${pair%%=*}."
    rm -rf "$target"
    cp -a "$work/files/${pair%%=*}" "$target"  # Not moved: models of one package share its licence.
  done
  rm -rf "$work"
}

work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
mkdir -p "$VERGE_CACHE"
while IFS=$'\t' read -r item client package version megabytes expected files; do
  case $item in '#'* | '') continue ;; esac
  if { [ $# -eq 0 ] && [ "$item" = "${item%\?}" ]; } || printf '%s\n' "$@" | grep -qx -- "${item%\?}"; then
    fetch_item "${item%\?}" "$client" "$package" "$version" "$megabytes" "$expected" "$files"
  fi
done <"$list"
