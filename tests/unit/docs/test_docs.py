"""The documentation against the code: error codes, links, commands, and the guide's example."""

import dataclasses
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from formats.errors import ERROR_CODES, RoadbedError
from platform_assets.cli.main import COMMANDS

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MAY_BE_MISSING = {ROOT / "docs" / "images" / "lineage.png"}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`|^ {4,}(\S.*)$", re.MULTILINE)


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings."""
    text = _FENCE.sub("", page.read_text())
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[str]:
    return (link for link in _LINK.findall(_FENCE.sub("", page.read_text())) if "://" not in link)


def resolves(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return target in MAY_BE_MISSING
    return not anchor or anchor in anchors(target)


def code_of(page: Path) -> str:
    """Everything that a page sets as code: fences, spans, indented lines."""
    text = page.read_text()
    spans = [one or other for one, other in _CODE.findall(_FENCE.sub("", text))]
    return "\n".join([body for _, body in _FENCE.findall(text)] + spans)


@pytest.mark.parametrize("code", ERROR_CODES)
def test_an_error_code_has_its_heading(code: str) -> None:
    path, _, anchor = RoadbedError(code, "message", "hint").runbook.partition("#")  # type: ignore[arg-type]
    assert anchor == code
    assert f"\n## {code}\n" in (ROOT / path).read_text()
    assert code in anchors(ROOT / path)


def test_the_runbook_has_no_other_codes() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(ERROR_CODES)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_relative_links_resolve(page: Path) -> None:
    assert not [link for link in links(page) if not resolves(page, link)]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_exist(page: Path) -> None:
    verbs = set(re.findall(r"(?<![.\w])roadbed ([a-z]+)", code_of(page)))
    assert verbs <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", code_of(page))) <= targets


def test_every_command_is_documented() -> None:
    told = code_of(ROOT / "docs" / "operating.md")
    assert not [verb for verb in COMMANDS if f"roadbed {verb}" not in told]


@pytest.fixture
def example(tmp_path: Path) -> Iterator[ModuleType]:
    """The python blocks of the guide, joined and imported as one module."""
    text = (ROOT / "docs" / "first-model.md").read_text()
    file = tmp_path / "rail_of_the_guide.py"
    file.write_text("\n".join(body for language, body in _FENCE.findall(text) if language == "python"))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[file.stem]


def test_each_block_of_the_guide_compiles() -> None:
    blocks = [body for language, body in _FENCE.findall((ROOT / "docs" / "first-model.md").read_text()) if language]
    assert blocks
    for number, block in enumerate(blocks):
        compile(block, f"first-model.md[{number}]", "exec")


def test_the_contracts_of_their_page_are_sound(example: ModuleType) -> None:
    """The page's code, after the guide's, whose names it goes on with."""
    import platform_assets

    shown = ("RowRule", "LastGood", "DefaultValue", "Tensor", "example")
    names = {**vars(example), **{name: getattr(platform_assets, name) for name in shown}, "dataclasses": dataclasses}
    names |= {"in_mph": None, "read_faster": example.read_arrivals}
    for language, body in _FENCE.findall((ROOT / "docs" / "contracts.md").read_text()):
        if language == "python":
            names["FasterReadings"] = names.get("Readings")
            exec(compile(body, "contracts.md", "exec"), names)  # noqa: S102 the page is the test's subject
    readings = names["READINGS"]
    assert readings.degradable == ("wind", "gust")
    assert names["rows"].height == 200
    assert platform_assets.Contract(names["Scans"], ("scan",)).statistics("image") == {"min_value": 0, "max_value": 16}
    team = dataclasses.replace(example.RAIL, raw_tables=(*example.RAIL.raw_tables, *names["tables"]))
    assert (
        dg.AssetKey(["rail", "readings_2"]) in example.team_definitions(team).resolve_asset_graph().get_all_asset_keys()
    )


def test_the_training_sets_of_their_page_are_sound(example: ModuleType) -> None:
    import platform_assets

    names = {**vars(example), "dataclasses": dataclasses}
    names |= {name: getattr(platform_assets, name) for name in platform_assets.__all__}
    for language, body in _FENCE.findall((ROOT / "docs" / "training-sets.md").read_text()):
        if language == "python":
            exec(compile(body, "training-sets.md", "exec"), names)  # noqa: S102 the page is the test's subject
    careful = names["careful"]
    assert (careful.split.by, len(careful.cleaning), len(careful.sampling)) == (("train",), 2, 2)
    page = (ROOT / "docs" / "training-sets.md").read_text()
    splits = [name for name in platform_assets.__all__ if name.endswith(("Split", "KFold", "WalkForward"))]
    assert [name for name in splits if f"`{name}(" not in page] == []
    models = tuple(dataclasses.replace(model, training_set=careful) for model in example.RAIL.models)
    team = dataclasses.replace(example.RAIL, models=models)
    dg.Definitions.validate_loadable(example.team_definitions(team))


def test_the_trainers_of_their_page_train(example: ModuleType) -> None:
    import platform_assets

    names = {
        **vars(example),
        "dataclasses": dataclasses,
        "Any": Any,
        "Mapping": Mapping,
        "LATE_TRAIN": example.LATE_TRAIN,
    }
    names |= {name: getattr(platform_assets, name) for name in platform_assets.__all__}
    names["LogisticRegression"] = LogisticRegression
    for language, body in _FENCE.findall((ROOT / "docs" / "training.md").read_text()):
        if language == "python":
            exec(compile(body, "training.md", "exec"), names)  # noqa: S102 the page is the test's subject
    frame = pl.DataFrame(
        {"wind": [n % 7 for n in range(200)], "late": [n % 7 > 3 for n in range(200)], "line": ["A", "B"] * 100}
    )
    data = platform_assets.TrainingData.of(frame, "late", ("wind",), {"line": ("A", "B")})
    quick = [dataclasses.replace(names["boosted"], rounds=5), dataclasses.replace(names["stepwise"], rounds=5)]
    for trainer in (*quick, names["straight"], names["chosen"]):
        assert trainer.measure(data, data)["validation_auc"] > 0.9
    page = (ROOT / "docs" / "training.md").read_text()
    kinds = [name for name in platform_assets.__all__ if name.endswith("Trainer") and name != "Trainer"]
    assert [name for name in kinds if f"`{name}(" not in page] == []
    team = dataclasses.replace(example.RAIL, models=(names["searched"],))
    definitions = example.team_definitions(team)
    dg.Definitions.validate_loadable(definitions)
    assert dg.AssetKey(["rail", "late_train", "search"]) in definitions.resolve_asset_graph().get_all_asset_keys()


def test_the_view_in_sql_of_its_page_computes(example: ModuleType) -> None:
    """The page's code, after the guide's."""
    import platform_assets

    names = {**vars(example), "SqlView": platform_assets.SqlView}
    for language, body in _FENCE.findall((ROOT / "docs" / "views.md").read_text()):
        assert language == "python"
        exec(compile(body, "views.md", "exec"), names)  # noqa: S102 the page is the test's subject
    view = names["LINE_DELAY"]
    assert view.lineage("line_worst_delay_1d") == ("arrivals.delay",)
    rows = platform_assets.example(example.ARRIVALS.contract, rows=200, seed=7)
    start = rows["known_time"].min() - timedelta(hours=1)
    found = view.compute({"arrivals": rows.lazy()}, start, start + timedelta(days=3)).collect()
    assert found.height == rows.n_unique(("line", "known_time"))
    assert found["line_worst_delay_1d"].max() == rows["delay"].max()
    team = dataclasses.replace(example.RAIL, views=(*example.RAIL.views, view))
    asset = example.team_definitions(team).resolve_asset_graph().get(dg.AssetKey(["rail", "line_delay"]))
    assert asset.kinds == {"duckdb", "deltalake"}


def test_the_guides_example_builds(example: ModuleType) -> None:
    definitions = example.defs()
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.resolve_asset_graph()
    assert dg.AssetKey(["rail", "late_train", "prod", "endpoint"]) in graph.get_all_asset_keys()


def test_the_guides_contract_asks_for_what_the_guide_says(example: ModuleType) -> None:
    contract = example.ARRIVING.contract("rail", "late_train")
    assert [column.name for column in contract.request] == ["line", "hour"]
    assert [column.name for column in contract.columns if column.view] == ["line_trains_1h", "line_delay_1h"]
