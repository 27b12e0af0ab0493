#!/bin/sh
# Prints the folder that holds ONNX Runtime's C headers, fetching them first where they are not installed.
#
# The wheels hold no headers. Debian 13 packages them (version 1.21: an operator library built on older headers loads
# in newer runtimes, not the other way round), and the package only holds files, so that it can be unpacked anywhere.
set -eu

system=/usr/include/onnxruntime
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fovea/onnxruntime-headers
header=onnxruntime_c_api.h

[ -f "$system/$header" ] && { echo "$system"; exit 0; }
[ -f "$cache/$header" ] && { echo "$cache"; exit 0; }
command -v apt-get >/dev/null || { echo "no $header here, and no apt-get to fetch it with" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mirror=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs: *\([^ ]*\).*/\1/p' | grep -m 1 '/debian/*$' || true)
[ -n "$mirror" ] || mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list 2>/dev/null | head -n 1)
[ -n "$mirror" ] || mirror=http://deb.debian.org/debian

mkdir -p "$work/lists/partial" "$work/archives/partial"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $mirror trixie main" > "$work/sources.list"
apt() {
    apt-get -qq -o Acquire::Retries=0 -o Acquire::http::Timeout=20 \
        -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work" -o APT::Sandbox::User="$(id -un)" "$@"
}
apt update >&2
(cd "$work" && apt download libonnxruntime-dev >&2 && dpkg -x libonnxruntime-dev_*.deb unpacked)

# In one step: another build may be looking, or fetching too
mkdir -p "$(dirname "$cache")"
cp -r "$work/unpacked/usr/include/onnxruntime" "$cache.$$"
mv -T "$cache.$$" "$cache" 2>/dev/null || rm -rf "$cache.$$"
[ -f "$cache/$header" ] || { echo "$cache cannot be written" >&2; exit 1; }
echo "$cache"
