"""Peers that cannot live in the project's environment: each has one of its own, made on demand and kept in .peers/.

`<peer>.in` names what is wanted, `<peer>.txt` pins it with all that it needs:

    .venv/bin/uv pip compile --python-version 3.11 --no-header --no-annotate benchmarks/peers/feast.in -o benchmarks/peers/feast.txt
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

_PINS: Final = Path(__file__).parent
_ROOT: Final = _PINS.parents[1]
# Where packages come from is pip's to say, and uv does not read its configuration.
_HANDED_OVER: Final = {"global.index-url": "UV_DEFAULT_INDEX", "global.cert": "SSL_CERT_FILE"}


def interpreter_of(peer: str) -> Path:
    """The Python of the peer's environment, which is made, or made anew when its pins have changed."""
    pins, home = _PINS / f"{peer}.txt", _ROOT / ".peers" / peer
    python, stamp = home / "bin" / "python", home / "pins"
    wanted = hashlib.sha256(pins.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {peer} into {home.relative_to(_ROOT)}")
        shutil.rmtree(home, ignore_errors=True)
        _install(pins, home)
        stamp.write_text(wanted)  # last: an installation that was interrupted is begun again
    return python


def versions(peer: str, packages: tuple[str, ...]) -> dict[str, str]:
    """The versions of some packages of the peer's environment."""
    lines = (_PINS / f"{peer}.txt").read_text().split()
    pinned = dict(line.split("==", 1) for line in lines if "==" in line)
    return {package: pinned[package] for package in packages}


def _install(pins: Path, home: Path) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    environment = (
        os.environ | _settings() | {"VIRTUAL_ENV": str(home), "UV_LINK_MODE": "copy", "UV_COMPILE_BYTECODE": "1"}
    )
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True, env=environment)
    subprocess.run([uv, "pip", "install", "--quiet", "-r", str(pins)], check=True, env=environment)


def _settings() -> dict[str, str]:
    found = {}
    for setting, variable in _HANDED_OVER.items():
        asked = [sys.executable, "-m", "pip", "config", "get", setting]
        told = subprocess.run(asked, capture_output=True, text=True, check=False)
        if told.returncode == 0:
            found[variable] = told.stdout.strip()
    return found
