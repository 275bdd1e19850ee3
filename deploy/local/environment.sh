#!/usr/bin/env bash
# Creates or refreshes .venv from requirements.lock. Idempotent: a stamp of the lock decides whether there is work.
#   TORCH=cpu (default) | auto | cu126 ...   which build of torch 2.13.0 to install
set -euo pipefail
cd "$(dirname "$0")/../.."

PYTHON=${PYTHON:-python3.11}
TORCH=${TORCH:-cpu}
TORCH_VERSION=2.13.0
UV_VERSION=0.13.8
VENV=.venv
STAMP=$VENV/.roadbed-lock

fail() { echo "error: $1" >&2; exit 1; }

command -v "$PYTHON" >/dev/null || fail "$PYTHON not found; Roadbed needs Python 3.11 (set PYTHON=/path/to/python3.11)"

wanted="$(cat requirements.lock pyproject.toml | sha256sum | cut -d' ' -f1) torch=$TORCH"
[ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$wanted" ] && exit 0

free_kib=$(df -Pk . | awk 'NR==2 {print $4}')
[ "$free_kib" -gt 4000000 ] || fail "less than 4 GB free in $PWD; the environment needs about 3 GB"

[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
echo "installing the environment into $VENV (torch $TORCH_VERSION, build: $TORCH)"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" \
  || fail "the package index cannot be reached; connect to a network or configure pip's index, then run again"

# pip's own configuration decides where packages come from; uv does not read it, so it is handed over.
setting() { "$VENV/bin/python" -m pip config get "$1" 2>/dev/null || true; }
links=${PIP_FIND_LINKS:-$(setting global.find-links)}
index=${PIP_INDEX_URL:-$(setting global.index-url)}
if [ -n "$links" ]; then export UV_FIND_LINKS="${links// /,}"; fi
if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
local_torch() { for d in $links; do compgen -G "$d/torch-$TORCH_VERSION*.whl" >/dev/null && return 0; done; return 1; }
if ! local_torch; then export UV_TORCH_BACKEND="$TORCH"; fi

export UV_COMPILE_BYTECODE=1 VIRTUAL_ENV="$PWD/$VENV" UV_LINK_MODE=copy
unset PYTHONDONTWRITEBYTECODE
uv="$VENV/bin/uv"
"$uv" pip install --quiet -r requirements.lock "torch==$TORCH_VERSION" || fail "packages could not be installed (see above)"
"$uv" pip install --quiet --no-deps -e . || fail "the project itself could not be installed (see above)"
echo "$wanted" > "$STAMP"
echo "environment ready"
