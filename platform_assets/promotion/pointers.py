"""Champion, states and bars as projections of the ledger: computed, never stored.

Only rows that the authority signed count. Others of its kinds are ignored and listed in `ignored`, so that an attempt is seen.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple, TypeVar

import msgspec

from formats.errors import ReleaseError
from formats.lifecycle import DESIRED, State, check_transition
from formats.signing import PublicKey
from platform_assets.promotion.policy import Policy
from platform_assets.promotion.records import Approval, Decision, PolicyInForce, Release, Step
from platform_assets.promotion.statement import Given, Recorded
from resources.ledger import SIGNED, Entry, authentic

Body = TypeVar("Body", bound=msgspec.Struct)


class Token(NamedTuple):
    """What a decision about an endpoint rests on; it must not have changed when the decision is written."""

    champion: str | None
    sequence: int


class Reached(NamedTuple):
    """A release entered `state` by the ledger's `entry`: its own, or that of the release that took its place."""

    state: State
    entry: Entry


def signed_by(trusted: tuple[PublicKey, ...]) -> Callable[[Entry], bool]:
    """Whether the authority wrote an entry, for who trusts these keys."""
    return lambda entry: authentic(entry, trusted)


class Pointers:
    """The state of all releases that `entries`, in order of sequence, amount to; `genuine` tells which the authority wrote."""

    def __init__(self, entries: Iterable[Entry], genuine: Callable[[Entry], bool]) -> None:
        self._releases: dict[str, Release] = {}
        self._lives: dict[str, list[Reached]] = {}
        self._bars: dict[str, str] = {}
        self._decisions: dict[str, Decision] = {}
        self._decided: dict[tuple[str, str], tuple[int, str]] = {}
        self._statements: dict[str, list[Given]] = {}
        self._policies: dict[str, tuple[str, Policy]] = {}
        self._ignored: list[Entry] = []
        seen: set[str] = set()
        for entry in entries:
            if entry.kind not in SIGNED or entry.id in seen:
                continue
            if genuine(entry):
                seen.add(entry.id)
                self._apply(entry)
            else:
                self._ignored.append(entry)

    @property
    def ignored(self) -> tuple[Entry, ...]:
        """Entries of signed kinds that the authority did not write."""
        return tuple(self._ignored)

    @property
    def barred(self) -> frozenset[str]:
        """Bundles that were rolled back and that nobody has lifted since."""
        return frozenset(self._bars.values())

    @property
    def used_tokens(self) -> frozenset[str]:
        """What tokens were used with people's words, as `Login.used`."""
        given = (each for said in self._statements.values() for each in said)
        return frozenset(each.login.used for each in given if each.login is not None)

    def bars(self, bundle: str) -> tuple[str, ...]:
        """Ids of the bars on `bundle`."""
        return tuple(bar for bar, barred in self._bars.items() if barred == bundle)

    def find_decision(self, entry: str) -> Decision | None:
        """The decision with this id, if the authority took it."""
        return self._decisions.get(entry)

    def decision(self, entry: str) -> Decision:
        """The decision with this id. Raises ReleaseError if the authority never took it."""
        found = self.find_decision(entry)
        if found is None:
            raise ReleaseError("release-missing", f"the authority never took a decision {entry}", "ask for one")
        return found

    def newest_decision(self, bundle: str, endpoint: str) -> Decision | None:
        """The authority's last word on `bundle` for `endpoint`."""
        found = self._decided.get((bundle, endpoint))
        return None if found is None else self._decisions[found[1]]

    def settled(self, bundle: str, endpoint: str, now: datetime) -> bool:
        """Whether asking again would change nothing: decided, a yes released, and since then no word said and no wait ended."""
        decision = self.newest_decision(bundle, endpoint)
        if decision is None:
            return False
        if decision.wait_until is not None and now >= decision.wait_until:
            return False
        sequence, identity = self._decided[bundle, endpoint]
        if decision.verdict == "approved" and self.caused_by(identity) is None:
            return False  # whoever decided was interrupted before the release was written
        return all(given.sequence < sequence for given in self.statements(bundle, endpoint))

    def is_newer(self, entry: Entry, bundle: str, endpoint: str) -> bool:
        """Whether `entry` was written after the authority's last word on `bundle` for `endpoint`."""
        found = self._decided.get((bundle, endpoint))
        return found is None or entry.sequence > found[0]

    def statements(self, subject: str, endpoint: str) -> tuple[Given, ...]:
        """What people said about `subject` at `endpoint`, oldest first."""
        return tuple(given for given in self._statements.get(subject, ()) if given.statement.endpoint == endpoint)

    def policy(self, environment: str) -> tuple[str, Policy] | None:
        """The policy in force and the entry that says so, once one was used."""
        return self._policies.get(environment)

    def was_live(self, bundle: str, model: str, environment: str) -> Release | None:
        """The newest release by which `bundle` was live as `model` in `environment`."""
        releases = self.releases(f"{model}/{environment}/endpoint")
        return next((r for r in reversed(releases) if r.bundle == bundle and r.was_live), None)

    def release(self, release: str) -> Release:
        """The release with this id. Raises ReleaseError if the authority never issued it."""
        found = self._releases.get(release)
        if found is None:
            raise ReleaseError(
                "release-missing",
                f"the authority never issued a release {release}",
                "look at `roadbed status` for those it did",
            )
        return found

    def life(self, release: str) -> tuple[Reached, ...]:
        """The states that `release` went through, in order, each with the entry by which it did."""
        return tuple(self._lives.get(release, ()))

    def all(self) -> tuple[Release, ...]:
        """Every release of every endpoint, in the order in which they were approved."""
        return tuple(self._releases.values())

    def releases(self, endpoint: str) -> tuple[Release, ...]:
        """Releases of `endpoint` by sequence."""
        found = (release for release in self._releases.values() if release.endpoint == endpoint)
        return tuple(sorted(found, key=lambda release: release.sequence))

    def champion(self, endpoint: str) -> Release | None:
        """The live release of `endpoint`."""
        return next((release for release in self.releases(endpoint) if release.state == "live"), None)

    def desired(self, endpoint: str) -> Release | None:
        """The release that `endpoint` should run: the newest that is approved, rolling or live."""
        wanted = [release for release in self.releases(endpoint) if release.state in DESIRED]
        return wanted[-1] if wanted else None

    def next_sequence(self, endpoint: str) -> int:
        """The sequence of the next release of `endpoint`, from 1."""
        return self.token(endpoint).sequence + 1

    def token(self, endpoint: str) -> Token:
        """What to compare before writing."""
        champion = self.champion(endpoint)
        newest = max((release.sequence for release in self.releases(endpoint)), default=0)
        return Token(None if champion is None else champion.release, newest)

    def caused_by(self, cause: str) -> Release | None:
        """The release that `cause` (a decision or another release) brought about."""
        return next((release for release in self._releases.values() if release.approval.cause == cause), None)

    def _apply(self, entry: Entry) -> None:
        if entry.kind == "decision":
            decision = self._decisions[entry.id] = _body(entry, Decision)
            self._decided[decision.bundle, decision.endpoint] = (entry.sequence, entry.id)
        elif entry.kind == "statement":
            recorded = _body(entry, Recorded)
            given = Given(entry.id, entry.sequence, recorded.keyid, recorded.statement, recorded.login)
            self._statements.setdefault(entry.subject, []).append(given)
        elif entry.kind == "policy":
            self._policies[entry.subject] = (entry.id, _body(entry, PolicyInForce).policy)
        elif entry.kind == "bar":
            self._bars[entry.id] = entry.subject
        elif entry.kind == "lift":
            for bar in entry.inputs["bars"]:
                self._bars.pop(bar, None)
        elif entry.inputs["state"] == "approved":
            self._approve(entry)
        else:
            self._step(entry)

    def _approve(self, entry: Entry) -> None:
        approval = _body(entry, Approval)
        check_transition(entry.id, "candidate", "approved")
        self._releases[entry.id] = Release(
            release=entry.id, endpoint=entry.subject, state="approved", approval=approval
        )
        self._lives[entry.id] = [Reached("approved", entry)]
        self._supersede(approval.supersedes, entry)

    def _step(self, entry: Entry) -> None:
        self._move(entry.inputs["release"], entry.inputs["state"], entry)
        self._supersede(_body(entry, Step).supersedes, entry)

    def _supersede(self, releases: Iterable[str], entry: Entry) -> None:
        for release in releases:
            self._move(release, "superseded", entry)

    def _move(self, release: str, state: State, entry: Entry) -> None:
        before = self._releases.get(release)
        if before is None:
            return  # the key that approved it was revoked, so it was never released
        check_transition(release, before.state, state)
        live = before.was_live or state == "live"
        self._releases[release] = msgspec.structs.replace(before, state=state, was_live=live)
        self._lives[release].append(Reached(state, entry))


def _body(entry: Entry, kind: type[Body]) -> Body:
    return msgspec.convert(entry.body, kind)
