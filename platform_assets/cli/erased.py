"""`roadbed erased`: whether what was erased is still gone."""

from typing import Annotated

import msgspec
import typer

from platform_assets.cli.contracts import teams
from platform_assets.cli.erase import asked, found, told
from platform_assets.cli.site import find_site
from platform_assets.promotion.evidence import evidence_of
from resources.installation import installation_at

_STILL_THERE = 2


def command(
    entity: Annotated[str, typer.Argument(help="An entity, to look for one key everywhere.")] = "",
    key: Annotated[list[str] | None, typer.Argument(help="The values of its keys, in their order.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """Look whether rows of erased keys are stored, and tables keep them out; of a key that is named, whether anything is.

    Exit status 2 if so.
    """
    site = find_site(None)
    if entity:
        plan = found(site, *asked(site, entity, key or ()))
        wrong, document, lines = not plan.nothing, msgspec.json.encode(plan), list(told(plan))
    else:
        from platform_assets.erasure.verify import findings

        declared = [team for team, _ in teams(site.root)]
        findings_ = list(findings(installation_at(site.home), evidence_of(site.home), declared))
        wrong, document = bool(findings_), msgspec.json.encode(findings_)
        lines = [f"found    {each.table}: {each.told}" for each in findings_]
    gone = "gone     no table or online store has a row of a key that was erased, and each table keeps them out"
    print(document.decode() if json else "\n".join(lines or [gone]))
    if wrong:
        raise typer.Exit(_STILL_THERE)
