"""Every feature of some teams as they declare it: of what entity, whose, made of what, and who uses it down to the endpoints."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from formats.contract import Classification
from formats.table_contract import Reading
from platform_assets.contracts.consumers import declared_readings
from platform_assets.contracts.projections import polars_type, serving_column

if TYPE_CHECKING:
    from platform_assets.features.spec import FeatureView
    from platform_assets.team import Team


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One feature. `view` is `<team>/<view>@<version>`, `sources` are raw columns (`<table>.<column>`).

    `online` says whether endpoints can read it. `used_by` are models (`<team>/<model>`) and readers outside of Roadbed, `endpoints`
    where those models are deployed.
    """

    name: str
    view: str
    entity: str
    keys: tuple[str, ...]
    owner: str
    type: str
    unit: str | None
    classification: Classification
    description: str
    view_description: str
    sources: tuple[str, ...]
    online: bool
    used_by: tuple[str, ...]
    endpoints: tuple[str, ...]

    @property
    def unused(self) -> bool:
        """Whether nobody reads it."""
        return not self.used_by


class Wanted(NamedTuple):
    """What a feature must be to be found; None and empty ask for nothing. `text` is looked for in all that is said of it."""

    text: str = ""
    entity: str | None = None
    owner: str | None = None
    classification: Classification | None = None
    unused: bool = False

    def of(self, feature: Feature) -> bool:
        """Whether `feature` is wanted."""
        said = (feature.name, feature.view, feature.description, feature.view_description, *feature.sources)
        return (
            self.text.lower() in "\n".join(said).lower()
            and self.entity in (None, feature.entity, *feature.keys)
            and self.owner in (None, feature.owner, feature.owner.removeprefix("team:"))
            and self.classification in (None, feature.classification)
            and (feature.unused or not self.unused)
        )


def features(teams: "Iterable[Team]", published: Iterable[Reading] = ()) -> Iterator[Feature]:
    """The features of `teams`, read by their own models and by whoever has said so in the `published` readings."""
    declaring = list(teams)
    mine = {team.name for team in declaring}
    # What is published of a declared model is what it read when that was written.
    others = (
        reading for reading in published if reading.kind == "other" or reading.consumer.partition("/")[0] not in mine
    )
    readings = [*(reading for team in declaring for reading in declared_readings(team)), *others]
    endpoints = {
        model.path(team.name): tuple(model.endpoint(team.name, environment) for environment in model.environments)
        for team in declaring
        for model in team.models
    }
    for team in declaring:
        for view in team.views:
            yield from _of_view(team, view, readings, endpoints)


def _of_view(
    team: "Team", view: "FeatureView", readings: Iterable[Reading], endpoints: dict[str, tuple[str, ...]]
) -> Iterator[Feature]:
    name = view.qualified(team.name)
    mine = [reading for reading in readings if reading.table == name]
    for column in view.features:
        serving = serving_column(view.contract, column, name)
        users = sorted({reading.consumer for reading in mine if column in reading.columns})
        yield Feature(
            name=column,
            view=name,
            entity=view.entity.name,
            keys=view.entity.keys,
            owner=team.contact,
            type=str(polars_type(view.contract, column)),
            unit=serving.unit,
            classification=serving.classification,
            description=serving.description,
            view_description=view.description,
            sources=view.lineage(column),
            online=column in view.packed,
            used_by=tuple(users),
            endpoints=tuple(endpoint for user in users for endpoint in endpoints.get(user, ())),
        )
