"""`roadbed reproduce`: a model version built again from its record alone, and compared."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from formats.home import Home
from platform_assets.cli.quiet import quiet
from platform_assets.cli.site import find_site
from platform_assets.cli.tables import visible
from platform_assets.promotion.evidence import evidence_of
from platform_assets.promotion.keys import private_key_file
from platform_assets.reproduction.outcome import TOLERANCE, Reproduction, Verdict
from resources.installation import installation_at

_STATUS: dict[Verdict, int] = {"equal": 0, "within": 0, "impossible": 1, "differs": 2}
_VERDICTS: dict[Verdict, str] = {
    "equal": "the digests are equal",
    "within": "another hardware class gave other bytes; the predictions are within the tolerance",
    "differs": "the bundle that came out is another one",
    "impossible": "it cannot be built again from what is on record",
}


def command(
    subject: Annotated[str, typer.Argument(help="A digest, <endpoint>[@<number>], or <team>/<model>@<cutoff>.")],
    tolerance: Annotated[
        float, typer.Option(min=0, help="How far probabilities may be apart on another hardware class.")
    ] = TOLERANCE,
    into: Annotated[Path | None, typer.Option(help="Build in this empty folder, and keep it.")] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Make the commit's environment if its lock differs.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """Train a model version again from its record alone, elsewhere, and compare. Status 1 if it cannot be, 2 if it differs."""
    with quiet():
        from platform_assets.reproduction.reproduce import Options, reproduce

    site = find_site(None)
    options = Options(tolerance, into, install)
    for line in warnings(site.home):
        typer.echo(line, err=True)
    found = reproduce(installation_at(site.home), evidence_of(site.home), site.root, subject, options)
    typer.echo(msgspec.json.encode(found) if json else text_of(found))
    if status := _STATUS[found.verdict]:
        raise typer.Exit(status)


def warnings(home: Home) -> Iterator[str]:
    """What whoever runs this should know: code of another day is about to run with their rights."""
    if os.access(private_key_file(home), os.R_OK):
        yield "warning  the code of that commit, and of the patch that was kept, runs with your rights; you can read the"
        yield "         authority's private key, so it can too: run this as another user if you do not know the code"


def text_of(found: Reproduction) -> str:
    """The outcome in lines."""
    return "\n".join(visible(line) for line in _lines(found))


def _lines(found: Reproduction) -> Iterator[str]:
    yield f"model    {found.model}[{found.partition}]"
    yield f"record   {found.bundle}"
    changed = (
        f", with {len(found.uncommitted)} uncommitted files: {', '.join(found.uncommitted)}"
        if found.uncommitted
        else ""
    )
    yield f"commit   {found.commit or 'none'}{changed}"
    here = "" if found.hardware == found.hardware_here else f", here {found.hardware_here}"
    yield f"hardware {found.hardware}{here}"
    yield f"rebuilt  {found.rebuilt or 'nothing'}"
    for file in found.files:
        yield f"file     {file.name}: {file.recorded_bytes} bytes on record, {file.rebuilt_bytes} rebuilt"
    if (apart := found.predictions) is not None:
        yield f"apart    at most {apart.largest:.2e}, {apart.mean:.2e} on average, on {apart.rows} training rows"
    if found.hardware != found.hardware_here:
        yield f"allowed  {found.tolerance:g}, because the hardware class is another one"
    for missing in found.missing:
        yield f"missing  {missing.what}: {missing.why}"
        yield f"  next   {missing.next}"
    yield f"{found.verdict:<10} {_VERDICTS[found.verdict]}"
