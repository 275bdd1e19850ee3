"""MLflow's model registry as a mirror: a version for each bundle, an alias for each environment.

The ledger decides what is released. Aliases repeat it for those who look into MLflow, and are put right whenever they differ.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from resources.experiment_tracking import ExperimentTracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

BUNDLE = "roadbed/bundle"
MODEL = "roadbed/model"


class Alias(NamedTuple):
    """`environment` of the model `<team>/<model>`, for example ("aviation/departure_delay", "prod")."""

    model: str
    environment: str


def registered_name(model: str) -> str:
    """MLflow's name of the model `<team>/<model>`; MLflow allows no slash."""
    return model.replace("/", ".")


class ModelRegistry:
    """Versions and aliases in the store of `tracking`."""

    def __init__(self, tracking: ExperimentTracking) -> None:
        self._tracking = tracking

    def register(self, model: str, bundle: str, folder: Path, run: str | None, tags: Mapping[str, str]) -> str:
        """The version of `bundle` (a digest, its files in `folder`), made by the MLflow run `run`. Made once."""
        name = registered_name(model)
        with self._tracking.locked():
            self._ensure(name, model)
            version = self.version_of(model, bundle)
            if version is not None:
                return version
            marked = {**tags, BUNDLE: bundle}
            return str(self._client.create_model_version(name, folder.as_uri(), run, tags=marked).version)

    def version_of(self, model: str, bundle: str) -> str | None:
        """The version that stands for `bundle`, if it was registered."""
        same = f"name = '{registered_name(model)}' AND tag.`{BUNDLE}` = '{bundle}'"
        found = self._client.search_model_versions(same, max_results=1)
        return str(found[0].version) if found else None

    def bundle_of(self, model: str, version: str) -> str | None:
        """The digest of the bundle that `version` stands for, if there is such a version."""
        same = f"name = '{registered_name(model)}'"
        found = (v for v in self._client.search_model_versions(same) if str(v.version) == version)
        return next((v.tags.get(BUNDLE) for v in found), None)

    def aliased(self, alias: Alias) -> str | None:
        """The digest of the bundle that the alias points to."""
        name = registered_name(alias.model)
        if not self._client.search_registered_models(f"name = '{name}'", max_results=1):
            return None
        version = self._client.get_registered_model(name).aliases.get(alias.environment)
        if version is None:
            return None
        return self._client.get_model_version(name, str(version)).tags.get(BUNDLE)

    def reconcile_aliases(self, wanted: Mapping[Alias, str | None]) -> list[str]:
        """Make each alias point to its bundle, or to nothing; what was changed, in words.

        A bundle that was never registered leaves its alias as it is, and is named.
        """
        return [change for alias, bundle in wanted.items() if (change := self._reconcile(alias, bundle)) is not None]

    def _reconcile(self, alias: Alias, bundle: str | None) -> str | None:
        present = self.aliased(alias)
        if present == bundle:
            return None
        name = registered_name(alias.model)
        if bundle is None:
            self._client.delete_registered_model_alias(name, alias.environment)
            return f"{name}@{alias.environment} pointed to {present} and is removed"
        version = self.version_of(alias.model, bundle)
        if version is None:
            return f"{name}@{alias.environment} stays at {present}: {bundle} is not registered"
        self._client.set_registered_model_alias(name, alias.environment, version)
        return f"{name}@{alias.environment} pointed to {present} and points to {bundle} (version {version})"

    def _ensure(self, name: str, model: str) -> None:
        if not self._client.search_registered_models(f"name = '{name}'", max_results=1):
            self._client.create_registered_model(name, tags={MODEL: model})

    @property
    def _client(self) -> "MlflowClient":
        return self._tracking.client
