"""A small issuer of tokens: keys made here, served over HTTP as a JSON Web Key Set, until it is stopped."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from formats.home import Home

AUDIENCE = "roadbed"
ROLES = {"reviewer": {"claim": "groups", "value": "ml-reviewers"}}


class Issuer:
    """`answer` is what it serves: bytes of a body. `asked` counts how often."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.server = server
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.keys: dict[str, ECKey | RSAKey] = {"one": ECKey.generate_key("P-256", {"kid": "one"})}
        self.asked = 0
        self.raw: bytes | None = None

    @property
    def answer(self) -> bytes:
        if self.raw is not None:
            return self.raw
        found = [{**key.as_dict(private=False), "kid": kid} for kid, key in self.keys.items()]
        return json.dumps({"keys": found}).encode()

    def claims(self, subject: str = "00u1", **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": subject,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 600,
            "jti": f"{time.monotonic_ns()}",
            "email": f"{subject}@example.org",
            "email_verified": True,
            "groups": ["everybody", "ml-reviewers"],
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def token(self, subject: str = "00u1", *, kid: str = "one", algorithm: str = "ES256", **changes: Any) -> str:
        """A token that counts, but for the changes."""
        header = {"alg": algorithm, "kid": kid}
        return jwt.encode(header, self.claims(subject, **changes), self.keys[kid], algorithms=[algorithm])

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer that listens on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(issuer.answer)))
            self.end_headers()
            self.wfile.write(issuer.answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        issuer.stop()
        thread.join(5)


def trust(home: Home, issuer: Issuer, /, **changes: Any) -> None:
    """Write issuers.yaml: `issuer` is trusted, under the name of company."""
    document = {
        "issuer": issuer.url,
        "audience": AUDIENCE,
        "keys_url": f"{issuer.url}/jwks",
        "roles": ROLES,
        **changes,
    }
    home.authority.mkdir(parents=True, exist_ok=True)
    (home.authority / "issuers.yaml").write_text(yaml.safe_dump({"issuers": {"company": document}}))
