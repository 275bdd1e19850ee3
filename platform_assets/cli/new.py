"""`roadbed new`: what a team begins with."""

from typing import Annotated

import typer

from platform_assets.cli.quiet import quiet
from platform_assets.cli.site import find_root
from platform_assets.cli.workspace import FILE, write


def team(
    name: Annotated[str, typer.Argument(help="The team's name: a Python package, and the first part of its keys.")],
) -> None:
    """Make a team's folder with a road that runs as it is, and let the workspace know."""
    with quiet():
        from platform_assets.components.scaffolding import new_team

    root = find_root()
    folder = new_team(root, name)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        print(f"written  {path.relative_to(root)}")
    if write(root):
        print(f"written  {FILE}")
    print("next     make up")
