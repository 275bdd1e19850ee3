"""How much memory a model takes, measured in a process of its own.

`resident_growth` starts this module as a program. It loads the bundle as the endpoint does, answers one row and then many, and
prints by how many bytes its resident memory grew; the interpreter and the libraries were there before.
"""

import subprocess
import sys
from pathlib import Path

from formats.errors import DataError

ROWS = 1024
_SECONDS = 120


def resident_growth(bundles: Path, digest: str) -> int:
    """Bytes that the bundle `digest` below `bundles` takes. Raises DataError if it cannot be measured."""
    command = [sys.executable, "-I", "-m", __name__, str(bundles), digest]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS)
        return int(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        said = getattr(error, "stderr", None) or error
        raise DataError(
            "data-missing",
            f"the memory of bundle {digest[:19]} could not be measured: {str(said)[-300:]}",
            "load the bundle with `python -m platform_assets.promotion.memory` to see why",
        ) from error


def _measure(bundles: Path, digest: str) -> int:
    import msgspec
    import numpy as np
    import psutil

    from serving.model import bundle_folder, load_model

    process = psutil.Process()
    before = largest = process.memory_info().rss
    model = load_model(bundles, digest)
    example = msgspec.json.decode((bundle_folder(bundles, digest) / "payload" / "example.json").read_bytes())
    batch = model.decoder.decode(msgspec.json.encode(example["request"]))
    for rows in (1, ROWS):
        model.run(np.repeat(batch.numeric, rows, axis=0), np.repeat(batch.categorical, rows, axis=0))
        largest = max(largest, process.memory_info().rss)
    return largest - before


if __name__ == "__main__":
    sys.stdout.write(str(_measure(Path(sys.argv[1]), sys.argv[2])))
