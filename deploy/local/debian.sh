#!/usr/bin/env bash
# Debian packages that the tests use beyond Python: a browser for the UI's tests. Does nothing when they are there; needs root
# or sudo otherwise. On another system, install chromium by its own means: the tests look for it in PATH.
set -euo pipefail

fail() { echo "error: $1" >&2; exit 1; }

missing=()
command -v chromium >/dev/null || missing+=(chromium)
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

command -v apt-get >/dev/null || fail "this is not Debian; install ${missing[*]} with the system's package manager"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "${missing[*]} must be installed by root, and there is no sudo"
  as_root=(sudo)
fi
echo "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq || fail "Debian's package lists cannot be fetched; connect to a network and run again"
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null \
  || fail "apt-get could not install ${missing[*]} (see above)"
