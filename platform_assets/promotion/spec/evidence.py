"""Gates on what is known about the candidate: where it comes from, what it consists of, what is said about it."""

from typing import ClassVar, Literal

from platform_assets.promotion.spec.gate import Gate, Severity

Danger = Literal["low", "medium", "high", "critical"]


class ProvenanceComplete(Gate, frozen=True, kw_only=True, tag="provenance_complete"):
    """Code, lock, config, data and runs are on record, and training rows precede all hold-out rows.

    `require_clean` refuses a build from a checkout with uncommitted changes.
    """

    stricter: ClassVar[dict[str, int]] = {"require_clean": 1}

    require_clean: bool = False


class CodeKept(Gate, frozen=True, kw_only=True, tag="code_kept"):
    """The code can be had again: from a commit, with what was uncommitted beside it kept whole (training/uncommitted.py).

    It warns where it is declared without severity; a policy makes it mandatory with `severity: block`.
    """

    severity: Severity = "warn"


class SignatureVerified(Gate, frozen=True, kw_only=True, tag="signature_verified"):
    """Signature, provenance and SBOM beside the bundle are signed by a trusted key and about this bundle, file by file.

    The signed provenance names the code, lock, configuration and training set that the candidate recorded.
    """


class NoLeakage(Gate, frozen=True, kw_only=True, tag="no_leakage"):
    """No input gives the label away, and no hold-out row was trained on.

    Each column alone, as number, as missing or not, or as the text's rate in the training set, ranks the hold-out rows with an AUC
    of at most `maximum_auc` in either direction: of several classes each against the rest, of numbers those above the training
    median against the others. An element of a tensor may come five times closer to 1. Training rows precede the cutoff, hold-out
    rows do not, and they share no key at the same time.
    """

    stricter: ClassVar[dict[str, int]] = {"maximum_auc": -1}

    maximum_auc: float = 0.95


class DriftAgainstServed(Gate, frozen=True, kw_only=True, tag="drift_against_served"):
    """No column's training rows are further than `maximum_psi` from the reference profile of the live model.

    PSI in the bins of the live model's profile (platform_assets/monitoring/profiles.py); `incomparable` when nothing is live.
    """

    stricter: ClassVar[dict[str, int]] = {"maximum_psi": -1}

    maximum_psi: float = 0.25


class DependenciesScanned(Gate, frozen=True, kw_only=True, tag="dependencies_scanned"):
    """No dependency in the SBOM has a denied licence, or a known vulnerability that is `refused_from` or worse.

    `database` is a folder of advisories in OSV's JSON format; without one the result is `attested`, and says "not scanned".
    `denied_licences` are SPDX identifiers or beginnings of names ("GPL-3.0", "GNU Affero").
    """

    database: str = ""
    refused_from: Danger = "high"
    denied_licences: tuple[str, ...] = ()


class CardComplete(Gate, frozen=True, kw_only=True, tag="card_complete"):
    """The model card has all its sections, is about this candidate's data, and states the figures that the rows give."""
