"""Asking the authority: typed requests and answers, the same for a process of this machine and a service (service_client.py)."""

import os
import subprocess
import sys
from abc import ABC, abstractmethod
from typing import TypeVar

import msgspec
from typing_extensions import override

from formats import errors
from formats.errors import PromotionError, RoadbedError
from formats.failpoints import VARIABLE
from formats.home import Home
from platform_assets.promotion.messages import (
    AnyAnswer,
    AnyRequest,
    Attest,
    Attested,
    Decide,
    Decided,
    Fail,
    Initialise,
    Initialised,
    Issued,
    Lift,
    Lifted,
    Live,
    Moved,
    Refusal,
    Renew,
    Rollback,
    Rolling,
    Said,
    Say,
    Speak,
    Verified,
    Verify,
)
from platform_assets.promotion.statement import Word

A = TypeVar("A", bound=msgspec.Struct)

RECONCILER = "reconciler"

PATIENCE = 600.0  # seconds; a gradient boosting as baseline is the slowest thing that a decision may compute


class Authority(ABC):
    """The promotion authority, asked with a person's `token` if there is one.

    Every verb may be repeated: it completes or repeats what was begun.

    All raise the RoadbedError that the authority reports, and PromotionError (`authority-unavailable`) if it cannot be reached.
    """

    def __init__(self, token: str | None = None) -> None:
        self._person = token

    @abstractmethod
    def ask(self, request: AnyRequest) -> AnyAnswer:
        """The authority's answer, Refusal included."""

    def initialise(self) -> Initialised:
        """Create key and anchor, if there are none."""
        return self._ask(Initialise(), Initialised)

    def attest(self, bundle: str, model: str) -> Attested:
        """The attestations of a proposed bundle; storing them is the caller's."""
        return self._ask(Attest(bundle=bundle, model=model), Attested)

    def decide(self, bundle: str, environment: str, endpoint: str, *, actor: str) -> Decided:
        """A decision about `bundle`; a refusal of the candidate is an answer, not an error."""
        return self._ask(Decide(bundle=bundle, environment=environment, endpoint=endpoint, actor=actor), Decided)

    def rolling(self, release: str, *, actor: str = RECONCILER) -> Moved:
        """The change-over to `release` begins."""
        return self._ask(Rolling(release=release, actor=actor), Moved)

    def live(self, release: str, *, observed: str, actor: str = RECONCILER) -> Moved:
        """The rollout is done; `observed` is the bundle that was seen serving."""
        return self._ask(Live(release=release, observed=observed, actor=actor), Moved)

    def fail(self, release: str, *, reason: str, actor: str = RECONCILER) -> Moved:
        """The rollout failed."""
        return self._ask(Fail(release=release, reason=reason, actor=actor), Moved)

    def rollback(
        self, endpoint: str, *, reason: str, actor: str, to: str | None = None, release: str | None = None
    ) -> Moved:
        """Take the live release back; if `release` is given, that one and no other."""
        return self._ask(Rollback(endpoint=endpoint, reason=reason, actor=actor, to=to, release=release), Moved)

    def renew(self, endpoint: str, *, reason: str, actor: str) -> Issued:
        """Issue the live release again, before its document expires."""
        return self._ask(Renew(endpoint=endpoint, reason=reason, actor=actor), Issued)

    def lift(self, bundle: str, *, reason: str, actor: str) -> Lifted:
        """Allow a barred bundle again."""
        return self._ask(Lift(bundle=bundle, reason=reason, actor=actor), Lifted)

    def say(self, envelope: bytes, *, actor: str) -> Said:
        """Hand in a person's signed statement."""
        return self._ask(Say(envelope=envelope.decode(), actor=actor), Said)

    def speak(self, word: Word, *, role: str | None = None) -> Said:
        """Say a word as whoever the token is of."""
        return self._ask(Speak(word=word, role=role), Said)

    def verify(self) -> Verified:
        """Is the ledger whole?"""
        return self._ask(Verify(), Verified)

    def _ask(self, request: AnyRequest, expected: type[A]) -> A:
        found = self.ask(request if self._person is None else msgspec.structs.replace(request, token=self._person))
        if isinstance(found, Refusal):
            raise _raised(found)
        if not isinstance(found, expected):
            raise unavailable(f"it answered a {type(request).__name__} with a {type(found).__name__}")
        return found


class LocalAuthority(Authority):
    """The authority as a process of this machine, started for each request.

    `-I` keeps PYTHON* variables, the working directory and the user's packages out, and the environment is built here: whoever asks
    cannot slip code in. It is the same user all the same (see authority.py on what that means).
    """

    def __init__(self, home: Home, token: str | None = None) -> None:
        super().__init__(token)
        self._home = home

    @override
    def ask(self, request: AnyRequest) -> AnyAnswer:
        command = [sys.executable, "-I", "-m", "platform_assets.promotion.authority", "--home", str(self._home.root)]
        data = msgspec.json.encode(request)
        try:
            done = subprocess.run(
                command, input=data, capture_output=True, timeout=PATIENCE, env=_environment(), cwd="/", check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise unavailable(str(error)) from error
        try:
            found: AnyAnswer = msgspec.json.decode(done.stdout, type=AnyAnswer)
        except msgspec.DecodeError as error:
            raise unavailable(f"status {done.returncode}; {done.stderr.decode(errors='replace')[-500:]}") from error
        return found


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("TMPDIR", VARIABLE) if name in os.environ}
    # One thread, as in the runs: two that wait for each other on a busy machine are slower than one.
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", **kept}


def _raised(refusal: Refusal) -> RoadbedError:
    kind = getattr(errors, refusal.error, PromotionError)
    known = isinstance(kind, type) and issubclass(kind, RoadbedError)
    return (kind if known else PromotionError)(refusal.code, refusal.message, refusal.hint)


def unavailable(why: str) -> PromotionError:
    """The error of an authority that was asked and did not answer."""
    return PromotionError(
        "authority-unavailable",
        f"the promotion authority did not answer: {why}",
        "ask again; what was begun is completed. If it persists, run `roadbed ledger verify`",
    )
