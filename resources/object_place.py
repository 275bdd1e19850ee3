"""Where tables or bundles are when they are in S3-compatible storage, and how to get in: what `storage.yaml` says.

    bucket: roadbed
    prefix: production/lake                          # absent: the bucket's root
    endpoint: https://objects.example.org            # absent: AWS
    region: eu-central-1                             # absent: us-east-1
    key_id: roadbed                                  # with secret_file or secret_variable; absent: the machine's own identity
    secret_file: /etc/roadbed/s3-secret              # or secret_variable: the name of an environment variable
    session_token_variable: ROADBED_S3_TOKEN         # where credentials are temporary

Secrets are named here and never written.
"""

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from formats.errors import DataError

_LOOPBACK = ("127.0.0.1", "::1", "localhost")

Bucket = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
Prefix = Annotated[str, msgspec.Meta(pattern="^([A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*)?$")]


class ObjectPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A bucket, the names in it that are ours, and where the secret is."""

    bucket: Bucket
    prefix: Prefix = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    key_id: str | None = None
    secret_file: str | None = None
    secret_variable: str | None = None
    session_token_variable: str | None = None

    def __post_init__(self) -> None:
        for broken in (self._wrong_endpoint(), self._wrong_secret()):
            if broken is not None:
                raise ValueError(broken)

    @property
    def address(self) -> str:
        """The bucket and the prefix as other engines name them."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def _wrong_endpoint(self) -> str | None:
        # Neither says what the endpoint is: it may have a secret in it by mistake.
        if self.endpoint is None:
            return None
        try:
            parts = urlsplit(self.endpoint)
            known = parts.scheme in ("http", "https") and parts.hostname is not None and parts.port != 0
        except ValueError:
            return "the endpoint's port is no number below 65536"
        if not known or parts.username is not None or parts.query or parts.fragment or parts.path.strip("/"):
            return "the endpoint is not of the form http[s]://host[:port], without user, path or query"
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            return "rows and models must not travel in the clear: beyond loopback the endpoint begins with https"
        return None

    def _wrong_secret(self) -> str | None:
        named = [one for one in (self.secret_file, self.secret_variable) if one is not None]
        if len(named) > 1:
            return "the secret is either in a file or in a variable"
        if (self.key_id is None) != (not named):
            return "a key_id and its secret come together: name `secret_file` or `secret_variable`"
        if self.session_token_variable is not None and self.key_id is None:
            return "a session token belongs to a key_id"
        if self.secret_file is not None and not Path(self.secret_file).is_absolute():
            return f"{self.secret_file} is not an absolute path"
        return None


def connection_options(place: ObjectPlace) -> dict[str, str]:
    """What delta-rs, polars and obstore take to connect alike; secrets are read now.

    Raises:
        DataError: a secret cannot be read.
    """
    options = {"aws_region": place.region, "aws_conditional_put": "etag"}
    if place.endpoint is not None:
        options["aws_endpoint_url"] = place.endpoint
        options["aws_allow_http"] = str(place.endpoint.startswith("http:")).lower()
    if place.key_id is not None:
        options |= {"aws_access_key_id": place.key_id, "aws_secret_access_key": _secret(place)}
    if place.session_token_variable is not None:
        options["aws_session_token"] = _variable(place.session_token_variable)
    return options


def _secret(place: ObjectPlace) -> str:
    if place.secret_file is None:
        return _variable(str(place.secret_variable))
    try:
        return Path(place.secret_file).read_text().removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(f"{place.secret_file} cannot be read: {type(error).__name__}") from error


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise _refused(f"the environment has no {name}, which is to hold a secret")
    return value


def _refused(why: str) -> DataError:
    return DataError(
        "storage-refused", f"the storage cannot be asked: {why}", "look at what storage.yaml names as its secrets"
    )
