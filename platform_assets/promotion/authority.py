"""The promotion authority: the only holder of the signing key and the only writer of decisions and releases.

    python -I -m platform_assets.promotion.authority --home DIR  < request.json  > answer.json

One request, one answer (messages.py); an error is an answer as well and ends with status 1. The process imports no team code and no
Dagster: candidates are read from the ledger, their bundles and tables by digest.

Embedded, it is a process of the same user as everything else. What that gives: no decision without the gates being computed
anew here; edits, cuts, forgeries and rewrites of the ledger are found by whoever has the public key. What it does not give:
protection from a process of the same user that reads the key, replaces this code, or deletes ledger and anchor together. In
production the same requests go to a service with an identity of its own (authority_service.py), which alone can read the key and
write the ledger's signed rows.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from formats.errors import ContractError, RoadbedError
from formats.home import Home
from platform_assets.promotion.asking import asked_by
from platform_assets.promotion.attest import attest
from platform_assets.promotion.desk import Desk, examine, initialise
from platform_assets.promotion.lifecycle import lift, live, renew, rolling
from platform_assets.promotion.messages import (
    AnyAnswer,
    AnyRequest,
    Attest,
    Decide,
    Fail,
    Initialise,
    Initialised,
    Lift,
    Live,
    Refusal,
    Renew,
    Request,
    Rollback,
    Rolling,
    Say,
    Speak,
    Verified,
    Verify,
)
from platform_assets.promotion.retreat import fail, rollback
from platform_assets.promotion.say import say, speak


def answer(home: Home, request: AnyRequest) -> AnyAnswer:
    """What the authority of `home` says to `request`. Raises RoadbedError as the request's function documents."""
    if isinstance(request, Initialise):
        return Initialised(keyid=initialise(home))
    if isinstance(request, Verify):
        report = examine(home)
        return Verified(rows=report.rows, ok=report.ok, whole=not report.breaks, findings=report.findings)
    return _acted(Desk(home), request)


def _acted(
    desk: Desk, request: Attest | Decide | Rolling | Live | Fail | Rollback | Renew | Lift | Say | Speak
) -> AnyAnswer:
    if isinstance(request, Decide):
        # The gates bring polars and onnxruntime; the other requests do without.
        from platform_assets.promotion.decide import decide

        return decide(desk, request)
    return _VERBS[type(request)](desk, request)


_VERBS: dict[type[Request], Callable[[Desk, Any], AnyAnswer]] = {
    Attest: attest,
    Rolling: rolling,
    Live: live,
    Fail: fail,
    Rollback: rollback,
    Renew: renew,
    Lift: lift,
    Say: say,
    Speak: speak,
}


def respond(home: Home, data: bytes, *, actor: str | None = None) -> AnyAnswer:
    """The answer to a request as JSON bytes; errors become a Refusal.

    `actor`, if given, takes the place of the request's; who a person's token is of takes the place of either.
    """
    try:
        request = _parsed(data)
        if request.token is not None:
            actor = asked_by(home, request.token)
        return answer(home, request if actor is None else msgspec.structs.replace(request, actor=actor))
    except RoadbedError as error:
        return refusal(error)
    except Exception as error:  # noqa: BLE001 - a defect is answered as well: whoever asked waits for one line on stdout
        traceback.print_exc()
        return Refusal(
            error="PromotionError",
            code="authority-unavailable",
            message=f"the authority failed: {type(error).__name__}: {error}",
            hint="nothing was decided; its log has the trace. Ask again: what was begun is completed",
        )


def refusal(error: RoadbedError) -> Refusal:
    """The error as an answer."""
    return Refusal(error=type(error).__name__, code=error.code, message=error.message, hint=error.hint)


def main() -> int:
    """Answer the request on stdin."""
    parser = argparse.ArgumentParser(prog="roadbed-authority", description="Decide one request; JSON in, JSON out.")
    parser.add_argument("--home", required=True, type=Path, help="the installation's state folder")
    home = Home(parser.parse_args().home.resolve())
    # The answer must be alone on stdout, whatever a library prints.
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        found = respond(home, sys.stdin.buffer.read())
        out.write(msgspec.json.encode(found) + b"\n")
    return 1 if isinstance(found, Refusal) else 0


def _parsed(data: bytes) -> AnyRequest:
    try:
        request: AnyRequest = msgspec.json.decode(data, type=AnyRequest)
    except msgspec.DecodeError as error:
        raise ContractError(
            "request-invalid",
            f"the authority does not understand the request: {error}",
            "see platform_assets/promotion/messages.py",
        ) from error
    return request


if __name__ == "__main__":
    sys.exit(main())
