"""The process that trains again builds the recorded bundle from the recorded rows in any order, or says why it does not."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from formats.bundle import manifest_of
from formats.table_digest import table_digest
from platform_assets import linear_network
from platform_assets.calendar import Calendar
from platform_assets.datasets.build import labelled
from platform_assets.reproduction import rebuild as process
from platform_assets.reproduction.rebuild import ANSWER, ORDER, PAYLOAD, ROWS, Answer, Order, rebuild
from platform_assets.team import Model, Team
from platform_assets.training.build import Material, build, learned_contract
from platform_assets.training.declared import fingerprint_of
from platform_assets.training.spec import TorchTrainer
from tests.graph.test_training_sets import DATASET, LOAN_TABLE, OUTCOME_TABLE, RATE_TABLE, VIEW, rates

MODEL = Model("defaults", "Defaults.", DATASET, TorchTrainer(linear_network, epochs=1))
CALENDAR = Calendar("UTC", date(2013, 1, 1), date(2013, 3, 31))
TEAM = Team("bank", "team:bank", CALENDAR, (LOAN_TABLE, OUTCOME_TABLE, RATE_TABLE), (VIEW,), (MODEL,))
START = datetime(2013, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    end = START + timedelta(days=31)
    tables = {t.name: t.read(START, end) for t in TEAM.raw_tables if t.read is not None}
    return labelled(DATASET, {**tables, "branch_rate": rates().lazy()}, START, end).frame


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: pl.DataFrame) -> Order:
    """What is asked for, with the rows of the table in another order than they were learnt from."""
    monkeypatch.setattr(process, "teams", lambda *_, **__: iter([(TEAM, tmp_path)]))
    rows.sample(fraction=1.0, shuffle=True, seed=1).write_ipc(tmp_path / ROWS)
    key = DATASET.key
    return Order(
        team="bank", model="defaults", rows=table_digest(rows, key), key=key, fingerprint=fingerprint_of("bank", MODEL)
    )


def answered(folder: Path, order: Order, **changes: Any) -> Answer:
    (folder / ORDER).write_bytes(msgspec.json.encode(msgspec.structs.replace(order, **changes)))
    return rebuild(folder, folder)


def test_equal_rows_in_another_order_give_the_same_bundle(tmp_path: Path, order: Order, rows: pl.DataFrame) -> None:
    elsewhere = msgspec.structs.replace(order.fingerprint, hardware="z80-scalar", commit="another")
    assert answered(tmp_path, order, fingerprint=elsewhere) == Answer()
    contract = learned_contract(DATASET.contract("bank", "defaults"), rows)
    material = Material.of(DATASET, rows)
    built = build(MODEL, contract, material)
    found = {path.name: path.read_bytes() for path in (tmp_path / PAYLOAD).iterdir()}
    assert manifest_of(found).digest == manifest_of(built.payload).digest
    assert Material.of(DATASET, rows.reverse()).rows.equals(material.rows), "and they are compared on the same rows"
    assert not (tmp_path / ANSWER).exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"code": "sha256:other"}, "code sha256:other -> "),
        ({"lock": "sha256:other"}, "lock sha256:other -> "),
        ({"config": "sha256:other"}, "config sha256:other -> "),
        ({"seed": 5}, "seed 5 -> 0"),
        ({"threads": 2}, "threads 2 -> 1"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_training_than_the_recorded_is_not_done(
    tmp_path: Path, order: Order, changes: dict[str, Any], told: str
) -> None:
    found = answered(tmp_path, order, fingerprint=msgspec.structs.replace(order.fingerprint, **changes))
    assert (len(found.differs), found.differs[0].startswith(told)) == (1, True)
    assert not (tmp_path / PAYLOAD).exists()


def test_settings_of_one_run_are_those_of_its_training_again(tmp_path: Path, order: Order, rows: pl.DataFrame) -> None:
    changed = replace(MODEL, trainer=TorchTrainer(linear_network, epochs=2))
    fingerprint = fingerprint_of("bank", changed)
    assert answered(tmp_path, order, fingerprint=fingerprint).differs[0].startswith("config ")
    assert answered(tmp_path, order, fingerprint=fingerprint, changed={"epochs": 2}) == Answer()
    built = build(changed, learned_contract(DATASET.contract("bank", "defaults"), rows), Material.of(DATASET, rows))
    assert (tmp_path / PAYLOAD / "model.onnx").read_bytes() == built.payload["model.onnx"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"changed": {"seasons": 4}}, "has no settings ['seasons']"),
        ({"model": "none"}, "declares no model bank/none"),
        ({"team": "rail"}, "declares no model rail/defaults"),
        ({"rows": "sha256:other"}, "takes the digest sha256:"),
    ],
)
def test_what_is_not_there_is_told(tmp_path: Path, order: Order, changes: dict[str, Any], told: str) -> None:
    assert told in answered(tmp_path, order, **changes).problem
    assert not (tmp_path / PAYLOAD).exists()
