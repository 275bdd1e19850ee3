"""`roadbed features`: which features there are, and who uses them, told from what teams declare."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from platform_assets.cli.contracts import teams
from platform_assets.cli.site import find_root

if TYPE_CHECKING:
    from platform_assets.features.catalog import Feature


def command(
    text: Annotated[str, typer.Argument(help="Words in names, descriptions or raw columns; all when not given.")] = "",
    entity: Annotated[str | None, typer.Option(help="An entity's name, or a key column of it.")] = None,
    owner: Annotated[str | None, typer.Option(help="A team's name or its contact.")] = None,
    classification: Annotated[
        Literal["public", "internal", "personal"] | None, typer.Option(help="How secret the values are.")
    ] = None,
    unused: Annotated[bool, typer.Option("--unused", help="Only what no model and nobody else reads.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """Search the features of all teams: of what they are made, and who uses them, down to the endpoints."""
    from platform_assets.contracts.published import FOLDER, read_published
    from platform_assets.features.catalog import Wanted, features

    declared = list(teams(find_root()))
    published = {reading for _, folder in declared for reading in read_published(folder / FOLDER).readings}
    wanted = Wanted(text, entity, owner, classification, unused)
    found = [feature for feature in features((team for team, _ in declared), published) if wanted.of(feature)]
    if json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        print("\n".join(_told(found) or ["none     no feature is like that"]))


def _told(found: "Sequence[Feature]") -> list[str]:
    views = groupby(found, key=lambda feature: feature.view)
    return [line for _, of_view in views for line in _view(list(of_view))]


def _view(found: "Sequence[Feature]") -> Iterator[str]:
    first = found[0]
    yield f"{first.view}  {first.entity} ({', '.join(first.keys)}), {first.owner}: {first.view_description}"
    width = max(len(feature.name) for feature in found)
    for feature in found:
        facts = [feature.type, *([feature.unit] if feature.unit else []), feature.classification]
        facts += [] if feature.online else ["not online"]
        yield f"  {feature.name:<{width}}  {', '.join(facts)}; of {', '.join(feature.sources) or 'nobody knows what'}"
    yield from _users(found)


def _users(found: "Sequence[Feature]") -> Iterator[str]:
    for users, same in groupby(sorted(found, key=lambda feature: feature.used_by), key=lambda feature: feature.used_by):
        features = list(same)
        which = "" if len(features) == len(found) else f" ({', '.join(feature.name for feature in features)})"
        yield f"  used by   {', '.join(users) or 'nobody'}{which}"
        yield from (f"  reaches   {endpoint}" for endpoint in features[0].endpoints)
