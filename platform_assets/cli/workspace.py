"""workspace.yaml as a projection of the folders: a team is one folder, and nobody lists teams by hand.

python -m platform_assets.cli.workspace --write    after a team's folder was added or removed
python -m platform_assets.cli.workspace --check    exit 1 when the committed file is not current
"""

import sys
from pathlib import Path
from typing import NamedTuple

from formats.durable import write_atomic

FILE = "workspace.yaml"
PLATFORM = "platform_assets.platform_location"

_HEADER = """\
# Generated from the folders of team_projects/ by `python -m platform_assets.cli.workspace --write`; a test holds it current.
load_from:
"""


class Location(NamedTuple):
    """One code location: the module that defines it and the folder, relative to the root, that it is imported from."""

    name: str
    module: str
    folder: str


def locations(root: Path) -> list[Location]:
    """The platform's location, then one for each `team_projects/<team>/<team>/definitions.py`, by name."""
    files = sorted((root / "team_projects").glob("*/*/definitions.py"))
    teams = [file.parent.name for file in files if file.parent.name == file.parents[1].name]
    return [
        Location("platform", PLATFORM, "."),
        *(Location(team, f"{team}.definitions", f"team_projects/{team}") for team in teams),
    ]


def render(root: Path) -> str:
    """The text of workspace.yaml for the folders below `root`."""
    return _HEADER + "".join(
        f"  - python_module:\n"
        f"      module_name: {location.module}\n"
        f"      working_directory: {location.folder}\n"
        f"      location_name: {location.name}\n"
        for location in locations(root)
    )


def is_current(root: Path) -> bool:
    """Whether the file below `root` says what the folders say."""
    file = root / FILE
    return file.is_file() and file.read_text() == render(root)


def write(root: Path) -> bool:
    """Bring the file up to date; whether there was anything to do."""
    if is_current(root):
        return False
    write_atomic(root / FILE, render(root).encode())
    return True


def main(arguments: list[str]) -> int:
    """Run the module as a command in the working directory; the exit status."""
    root = Path.cwd()
    match arguments:
        case ["--write"]:
            print(f"{FILE}: written" if write(root) else f"{FILE}: current")
            return 0
        case ["--check"]:
            current = is_current(root)
            print(f"{FILE}: current" if current else f"{FILE} is not current; run it again with --write")
            return 0 if current else 1
        case _:
            print(__doc__)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
