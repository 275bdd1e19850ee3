#!/usr/bin/env bash
# Creates or refreshes .venv from requirements.lock. Idempotent: a stamp decides whether there is work, and is written last, so
# that an interrupted installation goes on with the next call.
#   TORCH=cpu (default) | auto | cu126 ...   which build of torch 2.13.0 to install
#   PYTHON=python3.11                        the interpreter to build on
set -euo pipefail
cd "$(dirname "$0")/../.."

PYTHON=${PYTHON:-python3.11}
TORCH=${TORCH:-cpu}
TORCH_VERSION=2.13.0
UV_VERSION=0.13.8
VENV=.venv
STAMP=$VENV/.roadbed-lock

fail() { echo "error: $1" >&2; exit 1; }

# The folder counts: a virtual environment that was moved runs nothing.
wanted="$(cat requirements.lock pyproject.toml | sha256sum | cut -d' ' -f1) torch=$TORCH at=$PWD"
is_ready() { [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$wanted" ]; }
if is_ready; then exit 0; fi

command -v "$PYTHON" >/dev/null || fail "$PYTHON not found; Roadbed needs Python 3.11 (set PYTHON=/path/to/python3.11)"
version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$version" = 3.11 ] || fail "$PYTHON is Python $version; Roadbed needs 3.11 (set PYTHON=/path/to/python3.11)"
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null \
  || fail "$PYTHON cannot make virtual environments; install its venv package (Debian: apt-get install python3.11-venv)"
[ -w . ] || fail "$PWD cannot be written by $(id -un); clone into a folder of your own"

# Two calls at once (make -j, two terminals) install once. The lock ends with this process, however it ends.
if command -v flock >/dev/null; then
  exec 9<deploy/local/environment.sh
  flock -n 9 || { echo "another installation is under way; waiting for it"; flock 9; }
  if is_ready; then exit 0; fi
fi

free_kib=$(df -Pk . | awk 'NR==2 {print $4}')
[ "$free_kib" -gt 4000000 ] || fail "less than 4 GB free in $PWD; the environment needs about 3 GB"

is_usable() { "$VENV/bin/python" -m pip --version >/dev/null 2>&1; }
# A folder without a working pip is what an interrupted or moved creation leaves.
if ! is_usable; then
  rm -rf "$VENV"
  "$PYTHON" -m venv "$VENV" || fail "the virtual environment $PWD/$VENV could not be made (see above)"
fi
echo "installing the environment into $VENV (torch $TORCH_VERSION, build: $TORCH)"
if [ "$("$VENV/bin/uv" --version 2>/dev/null | cut -d' ' -f2)" != "$UV_VERSION" ]; then
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" \
    || fail "the package index cannot be reached; connect to a network or configure pip's index, then run again"
fi

# pip's own configuration decides where packages come from; uv does not read it, so it is handed over.
setting() { "$VENV/bin/python" -m pip config get "$1" 2>/dev/null || true; }
links=${PIP_FIND_LINKS:-$(setting global.find-links)}
index=${PIP_INDEX_URL:-$(setting global.index-url)}
certificates=${PIP_CERT:-$(setting global.cert)}
if [ -n "$links" ]; then export UV_FIND_LINKS="${links// /,}"; fi
if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
if [ -n "$certificates" ] && [ -z "${SSL_CERT_FILE:-}" ]; then export SSL_CERT_FILE="$certificates"; fi
local_torch() { for d in $links; do compgen -G "$d/torch-$TORCH_VERSION*.whl" >/dev/null && return 0; done; return 1; }
if ! local_torch; then export UV_TORCH_BACKEND="$TORCH"; fi

# mlflow's import takes 14 s without compiled bytecode and 3 s with it.
export UV_COMPILE_BYTECODE=1 VIRTUAL_ENV="$PWD/$VENV" UV_LINK_MODE=copy
unset PYTHONDONTWRITEBYTECODE
uv="$VENV/bin/uv"
# A terminal sees the download's progress, a log does not.
quiet=(--quiet)
if [ -t 2 ]; then quiet=(); fi
"$uv" pip install "${quiet[@]}" -r requirements.lock "torch==$TORCH_VERSION" \
  || fail "packages could not be installed (see above); without a network nothing can be fetched. The next call goes on from here"
"$uv" pip install --quiet --no-deps -e . || fail "the project itself could not be installed (see above)"
echo "$wanted" > "$STAMP"
echo "environment ready"
