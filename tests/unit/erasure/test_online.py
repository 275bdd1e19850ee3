"""An update of the online store that read rows before an erasure does not bring them back, and whatever does is found."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from formats.clock import advance_clock
from formats.home import Home
from formats.packed_features import entity_key
from platform_assets.erasure.carry_out import carry_out
from platform_assets.erasure.order import Order
from platform_assets.erasure.plan import planned
from platform_assets.erasure.verify import Finding, findings
from platform_assets.features import online_update
from platform_assets.features.online import Contents, contents
from platform_assets.features.online_update import update_online_store
from platform_assets.promotion.desk import initialise
from platform_assets.promotion.evidence import evidence_of
from resources.erased_keys import Action
from resources.installation import Installation, installation_at
from resources.lake import Part
from tests.support.travel import GOES, NOW, PEOPLE, RECORD, SUBJECT, TEAM

VIEW = RECORD.qualified(TEAM.name)
OTHERS = sorted(set(PEOPLE) - {GOES})


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    home = Home(tmp_path)
    advance_clock(home.clock, NOW)
    initialise(home)
    rows = pl.DataFrame(
        {"passenger": PEOPLE, "paid": [50.0] * len(PEOPLE)},
    ).with_columns(
        *(pl.lit(NOW - timedelta(days=1)).cast(pl.Datetime("us", "UTC")).alias(t) for t in ("event_time", "known_time"))
    )
    found = installation_at(home)
    found.lake.replace(f"travel/{RECORD.name}", {"2013-02-05": Part.of(rows, RECORD.contract.row_key)})
    return found


def update(installation: Installation) -> None:
    update_online_store(TEAM.name, TEAM.views, installation)


def erase(installation: Installation, action: Action = "erase") -> None:
    lake = installation.lake
    order = Order("sha256:order", "passenger", lake.pseudonym("passenger", SUBJECT.key), action, "petra")
    found = planned(installation, evidence_of(installation.home), [TEAM], SUBJECT, action)
    carry_out(installation, [TEAM], SUBJECT, found, order, actor="petra")


def served(installation: Installation) -> list[str]:
    rows = installation.online_store.get([entity_key(VIEW, (name,)) for name in PEOPLE])
    return sorted(name for name, row in zip(PEOPLE, rows, strict=True) if row is not None)


def told(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What is found without a key; the order itself is not on record here."""
    order = Order("sha256:order", "passenger", installation.lake.pseudonym("passenger", SUBJECT.key), "erase", "petra")
    monkeypatch.setattr("platform_assets.erasure.verify.standing", lambda _: {("passenger", order.pseudonym): order})
    return list(findings(installation, evidence_of(installation.home), [TEAM]))


@pytest.fixture
def late(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The next update has read its rows when the key is erased."""
    update(installation)
    assert served(installation) == sorted(PEOPLE)

    def read_then_erased(*given: object) -> Contents:
        monkeypatch.setattr(online_update, "contents", contents)
        made = contents(*given)  # type: ignore[arg-type]
        erase(installation)
        assert served(installation) == OTHERS
        return made

    monkeypatch.setattr(online_update, "contents", read_then_erased)
    return installation


def test_an_update_that_read_before_the_erasure_takes_away_what_it_put(
    late: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    update(late)
    assert served(late) == OTHERS
    assert told(late, monkeypatch) == []


@pytest.mark.kill
def test_of_an_update_that_was_killed_before_it_looked_again_the_next_takes_it_away(
    late: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as armed:
        armed.setattr(late.online_store, "put", _killed_after(late.online_store.put))
        with pytest.raises(KeyboardInterrupt):
            update(late)
    assert served(late) == sorted(PEOPLE)
    (found,) = told(late, monkeypatch)
    assert (found.table, found.told.partition(":")[0]) == (
        f"travel/{RECORD.name}",
        "1 rows in the online store are of keys that were erased",
    )
    update(late)
    assert served(late) == OTHERS
    assert told(late, monkeypatch) == []


def _killed_after(put: Callable[[Mapping[bytes, bytes]], None]) -> Callable[[Mapping[bytes, bytes]], None]:
    def killed(rows: Mapping[bytes, bytes]) -> None:
        put(rows)
        raise KeyboardInterrupt

    return killed


def test_a_row_that_was_put_past_the_platform_is_found_and_erased_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    update(installation)
    erase(installation)
    installation.online_store.put({entity_key(VIEW, (GOES,)): b"row"})
    assert len(told(installation, monkeypatch)) == 1
    erase(installation)
    assert told(installation, monkeypatch) == []


def test_a_damaged_note_is_mended_by_the_next_update(installation: Installation) -> None:
    update(installation)
    installation.online_store.put({entity_key("", (TEAM.name,)): b"torn"})
    update(installation)
    assert served(installation) == sorted(PEOPLE)


def test_masked_rows_are_served_to_nobody(installation: Installation) -> None:
    update(installation)
    erase(installation, "mask")
    update(installation)
    assert served(installation) == OTHERS
