"""Asking the authority's service, and the choice between it and a process of this machine."""

from pathlib import Path

import httpx
import msgspec
from typing_extensions import override

from formats.errors import PromotionError
from formats.home import Home
from platform_assets.promotion.authority_client import PATIENCE, Authority, LocalAuthority, unavailable
from platform_assets.promotion.messages import AnyAnswer, AnyRequest
from resources.authority_settings import read_settings

_CONNECTING = 5.0  # seconds
_PATH = "/v1/requests"


class ServiceAuthority(Authority):
    """The service at `url`; it knows the caller by the token in `token_file`, and writes the caller's name as actor."""

    def __init__(self, url: str, token_file: Path, token: str | None = None) -> None:
        super().__init__(token)
        self._url = f"{url.rstrip('/')}{_PATH}"
        self._token_file = token_file

    @override
    def ask(self, request: AnyRequest) -> AnyAnswer:
        headers = {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"}
        timeout = httpx.Timeout(PATIENCE, connect=_CONNECTING)
        try:
            # A proxy that the environment names has no business with the token.
            with httpx.Client(timeout=timeout, trust_env=False) as client:
                answer = client.post(self._url, content=msgspec.json.encode(request), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise unavailable(f"{self._url}: {type(error).__name__} {error}") from error
        try:
            found: AnyAnswer = msgspec.json.decode(answer.content, type=AnyAnswer)
        except msgspec.DecodeError as error:
            raise unavailable(f"{self._url}: status {answer.status_code}, {answer.text[:200]!r}") from error
        return found

    def _token(self) -> str:
        try:
            return self._token_file.read_text().strip()
        except OSError as error:
            raise PromotionError(
                "authority-unavailable",
                f"the token for the authority's service cannot be read: {error}",
                "authority.yaml names the file as service.token_file; whoever runs the service hands out tokens",
            ) from error


def authority_of(home: Home, token: str | None = None) -> Authority:
    """The authority of the installation in `home`: the service that authority.yaml names, else a process of this machine.

    `token` is that of the person who asks, as their issuer gave it.

    Raises DeclarationError if that file cannot be understood.
    """
    service = read_settings(home).service
    if service is None:
        return LocalAuthority(home, token)
    return ServiceAuthority(service.url, Path(service.token_file), token)
