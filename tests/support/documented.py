"""The commands that a page of the documentation shows to its reader, in the order in which they stand there."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md"))))

# What a reader's shell would start. A page that shows another program is found by `unknown_programs`.
PROGRAMS = frozenset(
    {
        *("make", "roadbed", ".venv/bin/roadbed", "dagster", ".venv/bin/dagster", "python", ".venv/bin/python", "pip"),
        *("curl", "env", "fuser", "ls", "chmod", "ss", "df", "du", "cat", "cp", "rm", "mv", "git", "export", "kill"),
        *("cd", "tail", "grep", "sqlite3", "docker", "kubectl", "helm", "bash", "sh", "sudo", "uv", ".ci/run"),
    }
)
SHELLS = frozenset({"", "sh", "bash", "shell", "console"})

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_SETTING = re.compile(r"^[A-Z_]+=\S+")
_COMMENT = re.compile(r"\s+#\s.*$")


class Shown(NamedTuple):
    """A piece of code as a page shows it: the line that it begins on, and its text."""

    line: int
    text: str

    @property
    def program(self) -> str:
        """The word that a shell would start; empty for a name that stands alone."""
        words = self.text.split()
        while words and _SETTING.match(words[0]):
            words = words[1:]
        return words[0] if len(words) > 1 else ""

    @property
    def is_command(self) -> bool:
        """Whether it can be typed into a shell. A program's name alone is a name; a setting alone is meant to be typed."""
        return self.program in PROGRAMS or bool(_SETTING.fullmatch(self.text))


def commands(markdown: str) -> list[Shown]:
    """Every command of a page."""
    return [shown for shown in code(markdown) if shown.is_command]


def unknown_programs(markdown: str, root: Path = ROOT) -> set[str]:
    """Programs of this machine or of the checkout that a page starts and that `PROGRAMS` lacks."""
    programs = {shown.program for shown in code(markdown)} - PROGRAMS - {""}
    return {program for program in programs if shutil.which(program) or _is_executable(root / program)}


def lone_options(markdown: str) -> list[Shown]:
    """Options that a page shows without their command, so that no command with them could be found."""
    return [shown for shown in code(markdown) if shown.text.startswith("--")]


def is_in_order(texts: Sequence[str], shown: Sequence[str]) -> bool:
    """Whether `texts`, repetitions aside, can be met one after the other while reading `shown`."""
    reading = iter(shown)
    kept = [text for at, text in enumerate(texts) if at == 0 or texts[at - 1] != text]
    return all(text in reading for text in kept)


def code(markdown: str) -> list[Shown]:
    """Whatever a page sets as code, by line: shell fences, indented lines, spans."""
    fences = [fence for fence in _FENCE.finditer(markdown) if fence[1] in SHELLS]
    found = [shown for fence in fences for shown in _fenced(markdown, fence)]
    lines = _FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), markdown).splitlines()
    return sorted([*found, *_indented(lines), *_spans(lines)], key=lambda shown: shown.line)


def _fenced(markdown: str, fence: re.Match[str]) -> Iterator[Shown]:
    first = markdown.count("\n", 0, fence.start()) + 2
    lines = fence[2].splitlines()
    # Where a fence shows a prompt, the lines without one are the answer.
    prompted = any(line.lstrip().startswith("$ ") for line in lines)
    for shown in _joined([(first + at, line) for at, line in enumerate(lines)]):
        if not prompted or shown.text.startswith("$ "):
            yield shown._replace(text=shown.text.removeprefix("$ "))


def _indented(lines: Sequence[str]) -> Iterator[Shown]:
    rows = [(at, line) for at, line in enumerate(lines, 1) if line.startswith("    ")]
    return (shown._replace(text=shown.text.removeprefix("$ ")) for shown in _joined(rows))


def _spans(lines: Sequence[str]) -> Iterator[Shown]:
    for at, line in enumerate(lines, 1):
        if not line.startswith("    "):
            yield from (Shown(at, text) for text in _SPAN.findall(line))


def _joined(rows: Sequence[tuple[int, str]]) -> Iterator[Shown]:
    """The commands in `rows`: continued lines as one, comments left out."""
    begun: Shown | None = None
    for at, line in rows:
        text = _COMMENT.sub("", line.strip())
        shown = Shown(begun.line, f"{begun.text} {text}") if begun else Shown(at, text)
        if text.endswith("\\"):
            begun = shown._replace(text=shown.text.removesuffix("\\").rstrip())
            continue
        begun = None
        if shown.text and not shown.text.startswith("#"):
            yield shown


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
