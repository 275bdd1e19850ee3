"""A lake against a dict: written in whatever order, compacted, forgotten, its rows and digests are those last written."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.delta_lake import DeltaLake
from resources.lake import Part
from resources.object_files import ObjectFiles
from resources.table_ref import TableRef

TABLE, KEY = "aviation/weather", ["place"]
LATER = datetime.now(UTC) + timedelta(days=1)
SCHEMA = {"place": pl.String, "wind": pl.Float64}

contents = st.dictionaries(st.text("abc\u00e9 %", min_size=1, max_size=3), st.floats(allow_nan=False), max_size=4)
writes = st.dictionaries(st.sampled_from(["d1", "d2", "d 3%"]), contents, min_size=1)
steps = st.lists(st.one_of(writes, st.sampled_from(["compact", "forget", "lose the shortcut"])), min_size=1, max_size=6)


def part(content: dict[str, float]) -> Part:
    return Part.of(pl.DataFrame(list(content.items()), schema=SCHEMA, orient="row"), KEY)


@settings(max_examples=25)
@given(steps)
def test_rows_and_digests_are_those_last_written(taken: list[dict[str, dict[str, float]] | str]) -> None:
    with TemporaryDirectory() as folder:
        files = ObjectFiles.in_folder(Path(folder))
        lake, held, kept = DeltaLake(files), dict[str, dict[str, float]](), dict[TableRef, dict[str, float]]()
        for step in taken:
            if isinstance(step, dict):
                lake.replace(TABLE, {key: part(content) for key, content in step.items()})
                held |= step
                kept |= {lake.ref(TABLE, key): content for key, content in step.items()}
            elif held and step == "compact":
                files.delta_table(TABLE).optimize.z_order(["wind"])
            elif held and step == "forget":
                lake.forget(TABLE, LATER, list(kept))
            else:
                files.remove(f"{TABLE}/_digests.json")
        assert lake.digests(TABLE) == {key: part(content).digest for key, content in held.items()}
        for ref, content in kept.items():
            assert dict(lake.read(ref, KEY).rows()) == content
