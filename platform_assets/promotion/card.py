"""The model card: what a model is for, what it was made of, how good it is, and for whom.

Sections as in M. Mitchell et al., "Model Cards for Model Reporting", FAT* 2019. Use and limitations are declared (spec/card.py);
the rest is what the platform knows. The card is the attestation `card` of a bundle; `markdown` is how people read it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from math import isclose
from typing import Any

import msgspec

from formats.errors import DataError
from formats.task import kind_of
from platform_assets.promotion.candidate import Candidate
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.results import Finding, finding, listed
from platform_assets.promotion.spec import FIGURES, Card, CardComplete, GateResult
from platform_assets.training.measures import figures
from resources.table_ref import TableRef

_DIGITS = 1e-6


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """A table's partition by digest, and the window of its rows, [since, until)."""

    table: str
    partition: str
    digest: str
    since: datetime | None
    until: datetime


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """The card of one bundle. `slices` are tables by column, as `figures` is of the whole hold-out."""

    model: str
    bundle: str
    owner: str
    intended_use: str
    limitations: tuple[str, ...]
    training_data: Data
    evaluation_data: Data
    figures: dict[str, float]
    slices: dict[str, tuple[dict[str, Any], ...]]


def make_card(
    candidate: Candidate,
    owner: str,
    declared: Card | None,
    figures: Mapping[str, float],
    slices: Mapping[str, Sequence[Mapping[str, Any]]],
) -> ModelCard:
    """The card of a candidate; what the team did not declare stays empty, and `card_complete` says so."""
    return ModelCard(
        model=candidate.model,
        bundle=candidate.bundle,
        owner=owner,
        intended_use=declared.intended_use if declared else "",
        limitations=declared.limitations if declared else (),
        training_data=_data(candidate.training_set, None, candidate.cutoff),
        evaluation_data=_data(candidate.evaluation_set, candidate.judged_from, candidate.judged_until),
        figures=dict(figures),
        slices={column: tuple(dict(row) for row in rows) for column, rows in slices.items()},
    )


def markdown(card: ModelCard) -> str:
    """The card for people."""
    figures = "\n".join(f"| {name} | {value:.4f} |" for name, value in card.figures.items())
    sections = {
        "Intended use": card.intended_use or "*not declared*",
        "Owner": card.owner,
        "Limitations": "\n".join(f"- {line}" for line in card.limitations) or "*not declared*",
        "Training data": _told(card.training_data),
        "Judged on": _told(card.evaluation_data),
        "Figures": f"| figure | value |\n|---|---|\n{figures}",
        "Slices": ", ".join(f"{column} ({len(rows)} values)" for column, rows in card.slices.items()) or "*none*",
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"# {card.model}\n\n`{card.bundle}`\n\n{body}\n"


def card_complete(case: PromotionCase, gate: CardComplete) -> GateResult:
    """All that is missing from the card, is about something else, or is not what the rows give."""
    try:
        card = msgspec.json.decode(case.attestation("card"), type=ModelCard)
    except msgspec.DecodeError as error:
        raise DataError("data-missing", f"the card cannot be read ({error})", "materialize the evaluation") from error
    failures = [*_gaps(card), *_strangers(card, case.candidate), *_wrong_figures(card, case)]
    return listed(gate, failures, f"the card has all its sections, and {len(card.figures)} figures")


def _gaps(card: ModelCard) -> Iterator[Finding]:
    for section in ("owner", "intended_use", "limitations", "figures", "slices"):
        value = getattr(card, section)
        if not value or (isinstance(value, str) and not value.strip()):
            yield finding(f"section {section}", "empty", "something; declare `card` and `slices` on the model")


def _strangers(card: ModelCard, candidate: Candidate) -> Iterator[Finding]:
    pairs = (
        ("model", card.model, candidate.model),
        ("bundle", card.bundle, candidate.bundle),
        ("training data", card.training_data.digest, candidate.training_set.digest),
        ("evaluation data", card.evaluation_data.digest, candidate.evaluation_set.digest),
    )
    for what, found, expected in pairs:
        if found != expected:
            yield finding(f"{what} of the card", found, expected)


def _wrong_figures(card: ModelCard, case: PromotionCase) -> Iterator[Finding]:
    task = case.contract.task
    given = figures(task, case.label, case.score)
    for name in FIGURES[kind_of(task)]:
        stated, true = card.figures.get(name), given.get(name)
        # A figure that the rows do not have is on no card.
        if true is None and stated is None:
            continue
        if stated is None or true is None or not isclose(stated, true, rel_tol=_DIGITS, abs_tol=_DIGITS):
            yield finding(f"figure {name}", stated, true if true is None else f"{true:.6f}")


def _data(ref: TableRef, since: datetime | None, until: datetime) -> Data:
    return Data(table=ref.table, partition=ref.partition, digest=ref.digest, since=since, until=until)


def _told(data: Data) -> str:
    since = "the beginning" if data.since is None else data.since.date().isoformat()
    return (
        f"`{data.table}[{data.partition}]`, from {since} until before {data.until.date().isoformat()}, `{data.digest}`"
    )
