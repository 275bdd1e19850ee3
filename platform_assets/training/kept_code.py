"""A training's code as it is before it begins: its fingerprint, and what of it no commit has, which is kept beside the bundle."""

from dataclasses import dataclass

import msgspec

from platform_assets.promotion.candidate import Fingerprint
from platform_assets.team import Model
from platform_assets.training.code_closure import REPOSITORY, import_closure
from platform_assets.training.declared import code_modules, fingerprint_of
from platform_assets.training.fingerprint import authors
from platform_assets.training.uncommitted import ATTESTATION, Uncommitted, document_digest, uncommitted
from resources.bundle_store import BundleStore


@dataclass(frozen=True)
class TakenCode:
    """Both were taken at once. `uncommitted` is None if there is nothing but the commit, or no commit."""

    fingerprint: Fingerprint
    uncommitted: Uncommitted | None

    def keep(self, bundles: BundleStore, bundle: str) -> str | None:
        """Keep what no commit has beside `bundle`; the digest of what is kept."""
        if self.uncommitted is None:
            return None
        document = self.uncommitted.encode()
        bundles.attest(bundle, ATTESTATION, document)
        return document_digest(document)


def take_code(team: str, model: Model) -> TakenCode:
    """The code of training `model` of `team`. What git was told not to look at is uncommitted like everything else."""
    fingerprint = fingerprint_of(team, model)
    if fingerprint.commit is None:
        return TakenCode(fingerprint, None)
    imported = import_closure(code_modules(model)).values()
    found = uncommitted(REPOSITORY, fingerprint.commit, imported, REPOSITORY / "team_projects" / team)
    if found.files and not fingerprint.dirty:
        fingerprint = msgspec.structs.replace(fingerprint, dirty=True, authors=authors(dirty=True))
    return TakenCode(fingerprint, found if fingerprint.dirty else None)
