"""The component that `dg` knows: a team in YAML."""

from dataclasses import dataclass

import dagster as dg
from pydantic import BaseModel

from platform_assets.code_location import team_definitions
from platform_assets.components.declaring import declared_team
from platform_assets.components.forms import TeamForm
from platform_assets.components.place import Place
from platform_assets.components.scaffolding import TeamScaffolder
from platform_assets.team import Team


@dg.scaffold_with(TeamScaffolder)
@dataclass(frozen=True)
class TeamComponent(dg.Component):
    """Everything that a team owns, from raw tables to endpoints, declared in one file; code stands in Python, by dotted path.

    One component holds the whole road: its views, datasets and models refer to each other by name, the sensors and the online store
    need them together, and `dg check yaml` looks at one document a type. Not a `Resolvable`: that takes fields one by one, each
    also as a template string, whereas here they refer to each other, and a shape error is to name the field and not a union.
    """

    team: Team

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """What `attributes` may say: what editors complete and `dg check yaml` checks."""
        return TeamForm

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "TeamComponent":
        """The team of `attributes`. Raises DeclarationError with file, line and column."""
        at = Place.of_attributes(context)
        if not isinstance(attributes, TeamForm):
            at.refuse("the component has no attributes", "declare a team: name, contact, calendar and what it owns")
        return cls(declared_team(attributes, at))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002
        """The team's code location."""
        return team_definitions(self.team)
