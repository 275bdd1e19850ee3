"""What verifying at load costs a server: release document, keys, manifest and attestations, with this environment's whole SBOM.

make bench NAME=attestations
"""

import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from benchmarks.report import Row, compared, interleaved, write
from formats.attestation import attestation_path, sign_statement
from formats.bundle import PAYLOAD, read_manifest
from formats.canonical import sha256_hex
from formats.durable import write_atomic
from formats.release import ReleaseDocument, sign_release
from formats.signing import new_private_key, public_pem
from formats.trusted_keys import CURRENT
from platform_assets.promotion.attestations import statements
from platform_assets.promotion.candidate import Candidate, Fingerprint
from platform_assets.promotion.card import make_card
from platform_assets.promotion.sbom import installed_packages, make_sbom
from resources.bundle_store import FileBundleStore
from resources.table_ref import TableRef

ENDPOINT = "aviation/departure_delay/prod/endpoint"
MILLISECONDS = 20.0
MEGABYTES = 10.0
ROUNDS = 9

# What a server does between reading release.json and loading the graph; argv: folder, bundle, how often.
VERIFY = """
import sys, time
from datetime import datetime
from pathlib import Path
import httptools, msgspec, numpy, onnxruntime, uvicorn
def highest():
    # Not ru_maxrss, which a process inherits from the one that started it.
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith("VmHWM:"))
before = highest()
import formats.signing
loaded = highest()
from formats.attestation import require_attested
from formats.bundle import read_manifest
from formats.release import read_release
from formats.trusted_keys import trusted_keys
root, digest = Path(sys.argv[1]), sys.argv[2]
def load():
    trusted = trusted_keys(root)
    now = datetime.fromisoformat("2013-04-02T00:00:00+00:00")
    read_release((root / "release.json").read_bytes(), trusted, endpoint=sys.argv[3], now=now)
    folder = root / "bundles" / digest.removeprefix("sha256:")
    require_attested(folder, read_manifest(folder, digest), trusted)
began = time.process_time()
load()
print((time.process_time() - began) * 1e3, (highest() - loaded) / 1024, (highest() - before) / 1024)
"""


def prepare(root: Path) -> str:
    """An attested bundle with a release below `root`; its digest."""
    bundles, key = FileBundleStore(root / "bundles"), new_private_key()
    digest = bundles.put({name: name.encode() for name in PAYLOAD})
    folder, candidate = bundles.open(digest), candidate_for(digest)
    card = make_card(candidate, "team:aviation", None, {"auc": 0.75}, {})
    sbom = msgspec.json.decode(make_sbom(card, installed_packages()))
    for name, statement in statements(read_manifest(folder, digest), candidate, sbom, b"{}").items():
        write_atomic(attestation_path(folder, name), sign_statement(statement, key))
    at = datetime(2013, 4, 1, tzinfo=UTC)
    release = ReleaseDocument(
        release="r1",
        bundle=digest,
        endpoint=ENDPOINT,
        environment="prod",
        sequence=1,
        issued_at=at,
        expires_at=at + timedelta(days=30),
        decision="d1",
        reason="benchmark",
    )
    (root / "release.json").write_bytes(sign_release(release, key))
    (root / CURRENT).write_bytes(public_pem(key.public_key()))
    return digest


def candidate_for(digest: str) -> Candidate:
    """A candidate like those of the example team."""
    none = f"sha256:{sha256_hex(b'')}"
    path, at = "aviation/departure_delay", datetime(2013, 4, 1, tzinfo=UTC)
    return Candidate(
        model=path,
        bundle=digest,
        partition="2013-03-01",
        cutoff=at,
        fingerprint=Fingerprint(code=none, lock=none, config=none, seed=0, threads=1, hardware="x86_64-avx2"),
        training_set=TableRef(f"{path}/training_set", "2013-03-01", none),
        evaluation_set=TableRef(f"{path}/evaluation_set", "2013-03-01", none),
        key=("flight",),
        time_column="asked_at",
        label="late",
        judged_from=at,
        judged_until=at + timedelta(days=30),
    )


def at_load(root: Path, digest: str) -> list[Row]:
    """CPU of the first verification in a process that has a server's libraries, and what its resident memory grows by."""
    command = [sys.executable, "-c", VERIFY, str(root), digest, ENDPOINT]
    told = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(ROUNDS)]
    taken, grown, whole = (statistics.median(float(row[place]) for row in told) for place in (0, 1, 2))
    return [
        Row(
            figure="verifying a release and its bundle's attestations at load",
            unit="CPU ms",
            ours=taken,
            target=MILLISECONDS,
            met=taken <= MILLISECONDS,
        ),
        Row(figure="memory of that", unit="MB", ours=grown, target=MEGABYTES, met=grown <= MEGABYTES),
        Row(
            figure="the same with `cryptography` itself, once a process",
            unit="MB",
            ours=whole,
            target=MEGABYTES,
            met=whole <= MEGABYTES,
        ),
    ]


def against_openssf(root: Path, digest: str) -> Row:
    """Files and signature alone, against OpenSSF model-signing with its imports done."""
    from model_signing import verifying

    from formats.attestation import read_attestation
    from formats.bundle import verify_bundle
    from formats.trusted_keys import trusted_keys

    folder = FileBundleStore(root / "bundles").open(digest)

    def ours() -> None:
        read_attestation(folder, "signature", verify_bundle(folder, digest), trusted_keys(root))

    def peer() -> None:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=root / CURRENT)
        verifier.verify(folder / "payload", attestation_path(folder, "signature"))

    return compared("files and signature, against OpenSSF model-signing", interleaved({"ours": ours, "peer": peer}), 1)


def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as folder:
        digest = prepare(Path(folder))
        write("attestations", [*at_load(Path(folder), digest), against_openssf(Path(folder), digest)])


if __name__ == "__main__":
    main()
