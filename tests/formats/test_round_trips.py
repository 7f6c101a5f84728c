"""What an import takes in comes out of the export as it was, or stands in quarantine with a reason.

Rows in = samples + quarantined, always.
"""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import event
from hypothesis import strategies as st

from middo.core.errors import DataError
from middo.core.ids import canonical_json as exact
from middo.core.records import Sample, sample_id
from middo.formats.exporting import export_samples
from middo.formats.importing import Imported, import_data
from middo.formats.quarantine import write_quarantine
from middo.stores.samples import Version, write_version

from ..fuzzing import folder, fuzz
from ..torture.tally import RecordProperty
from .arbitrary import ROWS, SOUND, encodable, spoken

pytestmark = pytest.mark.fuzz

Row = dict[str, Any]


@pytest.mark.parametrize("form", ROWS)
def test_rows_of_json_come_out_as_they_went_in(form: str, record_property: RecordProperty) -> None:
    def round_trip(drawn: tuple[list[Row], str]) -> None:
        rows, ending = [SOUND[form], *drawn[0]], drawn[1]
        try:
            lines = [json.dumps(row) for row in rows]
        except RecursionError:
            event("too deep for Python to write")
            return
        text = "\n".join(lines) if ending == "jsonl" else f"[{','.join(lines)}]"
        with folder() as name:
            home = Path(name)
            file = home / f"rows.{ending}"
            file.write_text(text, encoding="utf-8")
            try:
                imported = import_data(str(file), form)
            except DataError as error:
                assert ending == "json" and "doesn't parse" in str(error)
                return
            assert_same(
                imported,
                {f"{file.name}:{n}": json.loads(line) for n, line in enumerate(lines, 1)},
                home,
            )

    rows = st.lists(ROWS[form], min_size=1, max_size=3)
    fuzz(
        record_property,
        round_trip,
        st.tuples(rows, st.sampled_from(["jsonl", "json"])),
        few=25,
        torture=400,
    )


def assert_same(imported: Imported, rows: dict[str, Any], home: Path) -> None:
    """Hold the exported rows to those of the input, by their places."""
    assert len(imported.samples) + len(imported.quarantined) == imported.total
    assert all(row.reason and row.reason.isprintable() for row in imported.quarantined)
    refused = {row.source for row in imported.quarantined}
    exported = exported_rows(imported, home / "out.jsonl")
    places = {name for name in (*refused, *exported) if name not in rows}
    assert {name.rpartition(".")[0] for name in places} <= rows.keys()
    for source, row in rows.items():
        parts = sorted(name for name in places if name.rpartition(".")[0] == source)
        assert bool(parts) + (source in refused) + (source in exported) == 1
        event("quarantined" if {source, *parts} & refused else "sample")
        if source in exported:
            assert exact(exported[source]) == exact(row)
        for part, entry in zip(parts, row["instances"] if parts else [], strict=True):
            if part in exported:
                assert exact(exported[part]) == exact({**row, "instances": [entry]})
    assert write_quarantine(imported.quarantined, home / "q.jsonl") == len(refused)
    assert_kept(imported.samples, home)


def exported_rows(imported: Imported, to: Path) -> dict[str, Any]:
    assert export_samples(imported.samples, imported.format, to) == len(imported.samples)
    lines = to.read_bytes().split(b"\n")[:-1]
    pairs = zip(imported.samples, lines, strict=True)
    return {sample.source: json.loads(line) for sample, line in pairs}


def assert_kept(samples: list[Sample], home: Path) -> None:
    """A version gives every sample back as it was; equal conversations have numbered ids."""
    manifest = write_version(home / "v", samples, parent=None, made_by={"n": 1}, shard_rows=2)
    version = Version(home / "v")
    assert [exact(one.as_dict()) for one in version] == [exact(one.as_dict()) for one in samples]
    version.verify()
    assert manifest.rows == len(samples) == len(set(version.ids()))
    copies: dict[str, int] = {}
    for sample in samples:
        base = sample_id(sample.messages)
        copies[base] = copies.get(base, 0) + 1
        assert sample.id == (base if copies[base] == 1 else f"{base}-{copies[base]}")
    export_samples(samples, "parquet", home / "v.parquet")
    back = import_data(str(home / "v.parquet"))
    assert [spoken_by(sample) for sample in back.samples] == [spoken_by(one) for one in samples]
    assert not back.quarantined


def spoken_by(sample: Sample) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in sample.messages]


CELLS = st.one_of(encodable, spoken).filter(lambda text: "\0" not in text)
COLUMNS = st.lists(CELLS.map(lambda text: f"c{text}"), unique=True, max_size=2)


@pytest.mark.parametrize(
    "form", [("instruction", "input", "output"), ("prompt", "completion"), ("question", "answer")]
)
def test_records_of_csv_come_out_as_they_went_in(
    form: tuple[str, ...], record_property: RecordProperty
) -> None:
    def round_trip(drawn: tuple[list[str], list[list[str]], str, str]) -> None:
        more, records, mark, end = drawn
        header = [*form, *more]
        rows = [["a"] * len(header), *(record[: len(header)] for record in records)]
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=mark, quoting=csv.QUOTE_ALL, lineterminator=end).writerows(
            [header, *rows]
        )
        with folder() as name:
            home = Path(name)
            file = home / "rows.csv"
            file.write_bytes(text.getvalue().encode("utf-8"))
            imported = import_data(str(file))
            assert_same(
                imported,
                {
                    f"rows.csv:{n}": dict(zip(header, row, strict=True))
                    for n, row in enumerate(rows, 1)
                },
                home,
            )

    records = st.lists(st.lists(CELLS, min_size=5, max_size=5), max_size=3)
    marks, ends = st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"])
    fuzz(record_property, round_trip, st.tuples(COLUMNS, records, marks, ends), few=20, torture=400)


def test_rows_of_parquet_come_out_as_they_went_in(record_property: RecordProperty) -> None:
    def round_trip(
        drawn: list[tuple[str | None, str, int | None, float | None, list[str] | None]],
    ) -> None:
        names = ("prompt", "completion", "n", "f", "l")
        kinds = (pa.string(), pa.string(), pa.int64(), pa.float64(), pa.list_(pa.string()))
        rows = [dict(zip(names, row, strict=True)) for row in [("a", "b", 1, 0.5, ["c"]), *drawn]]
        with folder() as name:
            home = Path(name)
            file = home / "rows.parquet"
            pq.write_table(
                pa.Table.from_pylist(rows, schema=pa.schema(list(zip(names, kinds, strict=True)))),
                file,
                row_group_size=2,
            )
            imported = import_data(str(file))
            assert_same(imported, {f"rows.parquet:{n}": row for n, row in enumerate(rows, 1)}, home)

    row = st.tuples(
        st.one_of(st.none(), encodable, spoken),
        spoken,
        st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        st.one_of(st.none(), st.floats()),
        st.one_of(st.none(), st.lists(encodable, max_size=2)),
    )
    fuzz(record_property, round_trip, st.lists(row, max_size=3), few=20, torture=400)
