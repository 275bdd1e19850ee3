"""One candidate before its judges: everything the gates look at, loaded once and by digest.

What is loaded is what was recorded: the bundle is compared byte by byte with its name, the tables' digests are computed anew.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.attestation import Statement, read_attestation
from formats.bundle import read_manifest
from formats.errors import DataError, IntegrityError
from formats.signing import PublicKey
from formats.task import Binary
from platform_assets.answers import encoded, unit_of_answers
from platform_assets.promotion.candidate import Candidate, recorded_document, require_recorded
from platform_assets.promotion.inference import Model, load_model
from platform_assets.promotion.records import Release
from platform_assets.promotion.rehearsal import Rehearsal
from resources.bundle_store import BundleStore
from resources.lake import Lake

if TYPE_CHECKING:
    from serving.model import Model as ServedModel

Floats = NDArray[np.float64]

OWN = "model"


class Champion(NamedTuple):
    """The live release, trained up to `cutoff`; `load` opens its bundle."""

    release: str
    bundle: str
    cutoff: datetime
    load: Callable[[], Model]


def _no_store(name: str) -> Statement:
    raise IntegrityError("signature-invalid", f"there is no attestation {name!r}", "load the case from a store")


class PromotionCase:
    """A candidate, its model, the hold-out rows, and the champion's answers on the same rows.

    `training` is read when a gate asks for it. Attributes that load raise what the store raises, and the gate fails.
    """

    def __init__(
        self,
        candidate: Candidate,
        model: Model,
        frame: pl.DataFrame,
        load_training: Callable[[], pl.DataFrame],
        champion: Champion | None = None,
        load_attestation: Callable[[str], bytes | None] = lambda _: None,
        load_signed: Callable[[str], Statement] = _no_store,
    ) -> None:
        self.candidate = candidate
        self.model = model
        self.contract = model.contract
        self.frame = frame
        self.champion = champion
        # Answers to the hold-out rows that take time to compute, by name (OWN: the candidate's): whoever has some already
        # puts them here.
        self.forecasts: dict[str, Floats] = {}
        # How candidate and champion did in the environment before; the authority puts them here.
        self.rehearsal: Rehearsal | None = None
        self.champion_rehearsal: Rehearsal | None = None
        self._load_training = load_training
        self._load_attestation = load_attestation
        self._load_signed = load_signed

    @cached_property
    def training(self) -> pl.DataFrame:
        """The training set."""
        return self._load_training()

    def require(self) -> None:
        """Load everything that is recorded by digest. Raises IntegrityError or DataError when a part is lost or altered.

        What is damaged can be restored, so it is an error for now and no finding about the candidate.
        """
        _ = self.training
        if self.champion is not None:
            _ = self.champion_model

    @cached_property
    def label(self) -> NDArray[Any]:
        """The outcome of each hold-out row: bool of two, float64 of others (platform_assets/answers.py), [N].

        Raises DataError if some have none, or one that the task does not have.
        """
        values = encoded(self.frame[self.candidate.label], self.contract.task)
        return values == 1 if isinstance(self.contract.task, Binary) else values

    @cached_property
    def unit(self) -> float:
        """What differences of answers are measured in: 1 for probabilities, the training labels' deviation for values."""
        return unit_of_answers(self.training[self.candidate.label], self.contract.task)

    @cached_property
    def score(self) -> Floats:
        """The candidate's answer to each hold-out row: [N] of probabilities or values, [N, K] of several classes."""
        return self.forecasts[OWN] if OWN in self.forecasts else self.model.predict(self.frame)

    @cached_property
    def served(self) -> "ServedModel":
        """The candidate as the endpoint would hold it, with its own decoder and session."""
        from serving.model import Model as ServedModel

        return ServedModel(self.candidate.bundle, self.contract, self.model.onnx)

    def spread(self, rows: int) -> NDArray[np.intp]:
        """Places of at most `rows` hold-out rows, evenly over the window."""
        places: NDArray[np.intp] = np.unique(np.linspace(0, self.frame.height - 1, rows).astype(np.intp))
        return places

    def attestation(self, name: str) -> bytes:
        """The document `name` beside the bundle, as the candidate recorded it.

        Raises:
            DataError: the candidate recorded none, or it is gone.
            IntegrityError: it is another one by now.
        """
        return require_recorded(self.candidate, name, self._load_attestation(name))

    def signed(self, name: str) -> Statement:
        """The signed statement `name`, of a bundle that was verified byte by byte just now.

        Raises IntegrityError if the statement is absent or does not count, or the bundle is damaged.
        """
        return self._load_signed(name)

    @cached_property
    def champion_model(self) -> Model:
        """The champion's model. Raises DataError when there is no champion, IntegrityError when its bundle is damaged."""
        if self.champion is None:
            raise DataError("data-missing", "nothing is live", "ask whether there is a champion first")
        return self.champion.load()

    @cached_property
    def champion_score(self) -> Floats:
        """The champion's answer to each hold-out row."""
        return self.champion_model.predict(self.frame)

    @cached_property
    def judged(self) -> tuple[datetime, datetime]:
        """First and last prediction time of the hold-out rows, UTC: what the rows say, not what was declared."""
        return time_range(self.frame, self.candidate.time_column)


def load_case(
    candidate: Candidate,
    champion: Release | None,
    bundles: BundleStore,
    lake: Lake,
    trusted: tuple[PublicKey, ...],
) -> PromotionCase:
    """The case of `candidate` against the live release. Attestations count that one of the keys `trusted` signed.

    Raises:
        IntegrityError: the bundle is absent, altered or not a model.
        DataError: the hold-out is absent, or holds other rows than those that were recorded.
    """
    opponent = None
    if champion is not None:
        opponent = Champion(
            champion.release, champion.bundle, champion.approval.cutoff, lambda: open_model(bundles, champion.bundle)
        )
    return PromotionCase(
        candidate=candidate,
        model=open_model(bundles, candidate.bundle),
        frame=lake.read(candidate.evaluation_set, candidate.key),
        load_training=lambda: lake.read(candidate.training_set, candidate.key),
        champion=opponent,
        load_attestation=lambda name: recorded_document(bundles, candidate, name),
        load_signed=lambda name: signed_statement(bundles, candidate.bundle, name, trusted),
    )


def signed_statement(bundles: BundleStore, digest: str, name: str, trusted: tuple[PublicKey, ...]) -> Statement:
    """The attestation `name` of a bundle, both verified. Raises IntegrityError if either does not hold."""
    folder = bundles.open(digest)
    return read_attestation(folder, name, read_manifest(folder, digest), trusted)


def open_model(bundles: BundleStore, digest: str) -> Model:
    """The model of a bundle. Raises IntegrityError if it is absent, damaged or cannot be loaded."""
    return load_model(bundles.open(digest), digest)


def time_range(frame: pl.DataFrame, column: str) -> tuple[datetime, datetime]:
    """First and last instant in `column`, UTC. Raises DataError if there is none, or a row has no time."""
    if column not in frame.columns or frame.is_empty() or frame[column].null_count():
        raise DataError(
            "data-missing",
            f"not every row has a time in the column {column!r}",
            "record the column of prediction times",
        )
    first, last = frame.select(pl.col(column).min().alias("first"), pl.col(column).max().alias("last")).row(0)
    return _utc(first), _utc(last)


def _utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
