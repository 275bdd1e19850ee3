"""A real S3-compatible server (SeaweedFS) for tests: on loopback, in a temporary folder, ended with the block that asked for it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from tests.support.processes import eventually, free_port

KEY, SECRET, BUCKET = "reader", "not-a-secret", "deliveries"

_PATIENCE = 60.0  # one that was killed elects itself anew before it answers


class ObjectStore:
    """A running server with one bucket and one user."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self._arguments = self.command()

    @property
    def environment(self) -> dict[str, str]:
        """What a reader of the bucket has in its environment."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
        }

    def command(self) -> list[str]:
        user = {"name": KEY, "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
        (self.folder / "s3.json").write_text(json.dumps({"identities": [user]}))
        program = Path(sys.executable).with_name("weed")
        command = [
            str(program),
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-dir={self.folder}",
            "-filer",
            "-s3",
        ]
        command += [f"-s3.config={self.folder / 's3.json'}", f"-s3.port={self.port}", "-s3.autoCreateBucket"]
        # Each port has a second one for gRPC, by default 10,000 above it.
        for part in ("master", "volume", "filer"):
            command += [f"-{part}.port={free_port()}", f"-{part}.port.grpc={free_port()}"]
        # These have fixed ports, which a second server would ask for in vain.
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
        return [*command, f"-s3.port.grpc={free_port()}", "-master.volumeSizeLimitMB=64", "-volume.max=8"]

    def put(self, name: str, frame: pl.DataFrame) -> None:
        """Deliver `frame` as a parquet file."""
        options = {name.lower(): value for name, value in self.environment.items()}
        frame.write_parquet(f"s3://{BUCKET}/{name}", storage_options=options)

    def takes_files(self) -> bool:
        try:
            self.put("probe.parquet", pl.DataFrame({"a": [1]}))
        except (OSError, pl.exceptions.PolarsError):
            return False
        return True

    def place(self, prefix: str, secret_file: Path) -> dict[str, str]:
        """The bucket below `prefix`, as storage.yaml names it; the secret is written to `secret_file`."""
        secret_file.write_text(f"{SECRET}\n")
        endpoint = f"http://127.0.0.1:{self.port}"
        return {
            "bucket": BUCKET,
            "prefix": prefix,
            "endpoint": endpoint,
            "key_id": KEY,
            "secret_file": str(secret_file),
        }

    def start(self) -> None:
        """Start the server, on the files that an earlier one left."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._arguments, cwd=self.folder, stdout=log, stderr=log)
        eventually(self.takes_files, _PATIENCE)

    def kill(self) -> None:
        """End the server at once."""
        self._process.kill()
        self._process.wait()


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """A server that keeps its files in `folder`."""
    store = ObjectStore(folder)
    store.start()
    try:
        yield store
    finally:
        store.kill()
