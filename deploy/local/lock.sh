#!/usr/bin/env bash
# Recompiles requirements.lock from pyproject.toml. Torch stays out: its CPU and CUDA builds have different names and
# dependencies, so it is installed beside the lock (deploy/local/environment.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."
links=${PIP_FIND_LINKS:-$(.venv/bin/python -m pip config get global.find-links 2>/dev/null || true)}
if [ -n "$links" ]; then export UV_FIND_LINKS="${links// /,}"; fi
.venv/bin/uv pip compile --quiet --python-version 3.11 --no-header --no-annotate --no-emit-package torch --no-emit-find-links \
  --group dev pyproject.toml -o requirements.lock "$@"
# A machine without a CPU wheel at hand resolves the CUDA build; what that build alone brings is not ours to pin.
sed -i -E '/^(nvidia-|triton|cuda-)/d' requirements.lock
