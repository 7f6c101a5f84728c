"""Spoiled files give rows, quarantine or one line of error: no traceback, no hang, no row lost."""

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import event
from hypothesis import strategies as st

from middo.core.config import RunConfig
from middo.core.errors import ConfigError, DataError, MiddoError
from middo.formats.configuration import dump_config, load_config
from middo.formats.decisions import read_decisions
from middo.formats.importing import import_data
from middo.formats.quarantine import write_quarantine

from ..fuzzing import folder, fuzz
from ..torture.tally import RecordProperty
from .arbitrary import PIECES, SOUND

pytestmark = pytest.mark.fuzz


def parquet() -> bytes:
    to = io.BytesIO()
    rows = [{"prompt": f"question {n}", "completion": "answer", "n": n} for n in range(30)]
    pq.write_table(pa.Table.from_pylist(rows), to, row_group_size=10)
    return to.getvalue()


def arrow() -> bytes:
    to = io.BytesIO()
    table = pa.table({"prompt": ["a", "b"], "completion": ["c", "d"]})
    with pa.ipc.new_file(to, table.schema) as writer:
        writer.write_table(table)
    return to.getvalue()


LINES = [json.dumps(row) for row in SOUND.values()]
FILES = {
    **{form: f"{json.dumps(row)}\n".encode() * 5 for form, row in SOUND.items()},
    "array": json.dumps([SOUND["alpaca"]] * 4, indent=1).encode(),
    "csv": b'instruction,input,output\r\na,"b, c\r\nd","e ""f"""\r\ng,,h\r\n',
    "tsv": b"question\tanswer\na\tb\n",
    "parquet": parquet(),
    "arrow": arrow(),
}
FILES["gz"] = gzip.compress(FILES["prompt"], mtime=0)
FILES["gz of parquet"] = gzip.compress(FILES["parquet"], mtime=0)

Change = tuple[str, int, int, bytes]
pieces = st.one_of(
    st.binary(max_size=8),
    st.sampled_from([piece.encode("utf-8", "surrogatepass") for piece in PIECES]),
    st.sampled_from([b"\xff\xfe", b"\x1f\x8b", b"PAR1", b"[" * 2000, b'{"a":' * 500, b"1" * 5000]),
    st.sampled_from([line.encode() for line in LINES]),
)
changes: st.SearchStrategy[list[Change]] = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "repeat", "drop"]),
        st.integers(0, 10_000),
        st.integers(0, 300),
        pieces,
    ),
    max_size=4,
)
encodings = st.sampled_from(
    ["utf-8"] * 8 + ["utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig"]
)


def changed(data: bytes, steps: list[Change]) -> bytes:
    for kind, at, length, piece in steps:
        place = at % (len(data) + 1)
        before, after = data[:place], data[place:]
        match kind:
            case "flip" if after:
                data = before + bytes([after[0] ^ (1 << length % 8)]) + after[1:]
            case "cut":
                data = before
            case "insert":
                data = before + piece + after
            case "repeat":
                data = before + after[:length] + after
            case "drop":
                data = before + after[length:]
    return data


def encoded(data: bytes, encoding: str) -> bytes:
    try:
        return data.decode("utf-8").encode(encoding, "replace")
    except UnicodeDecodeError:
        return data


def in_one_line(error: MiddoError) -> None:
    text = str(error)
    assert text and "\n" not in text and "\r" not in text
    assert "\0" not in text and "\x1b" not in text


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", FILES)
def test_a_spoiled_file_is_read_or_refused(kind: str, record_property: RecordProperty) -> None:
    def check(drawn: tuple[list[Change], str, bool]) -> None:
        steps, encoding, packed = drawn
        data = changed(encoded(FILES[kind], encoding), steps)
        with folder() as home:
            file = Path(home, "rows.data")
            file.write_bytes(gzip.compress(data) if packed else data)
            try:
                imported = import_data(str(file))
            except DataError as error:
                in_one_line(error)
                event("refused")
                return
            event("read")
            assert imported.total == len(imported.samples) + len(imported.quarantined)
            places = [one.source for one in imported.samples]
            places += [one.source for one in imported.quarantined]
            assert len(set(places)) == len(places)
            assert all(row.reason for row in imported.quarantined)
            kept = Path(home, "quarantine.jsonl")
            assert write_quarantine(imported.quarantined, kept) == len(imported.quarantined)
            assert kept.read_bytes().count(b"\n") == len(imported.quarantined)
            if kind in SOUND and not packed and encoding == "utf-8":
                lines = [line for line in data.split(b"\n") if line.strip(b" \t\r")]
                assert imported.total >= len(lines) or imported.total == 1

    drawn = st.tuples(changes, encodings, st.booleans())
    fuzz(record_property, check, drawn, few=15, torture=600)


CONFIG = dump_config(RunConfig.model_validate({"rounds": 2, "seed": 3})).encode()


@pytest.mark.timeout(600)
def test_a_spoiled_configuration_is_read_or_refused(record_property: RecordProperty) -> None:
    def check(steps: list[Change]) -> None:
        with folder() as home:
            file = Path(home, "config.yaml")
            file.write_bytes(changed(CONFIG, steps))
            try:
                load_config(file, environ={})
            except ConfigError as error:
                in_one_line(error)
                event("refused")
            else:
                event("read")

    fuzz(record_property, check, changes, few=40, torture=1_200)


yaml = st.one_of(
    st.text(max_size=20),
    st.lists(st.sampled_from(PIECES), max_size=5).map("".join),
    st.lists(
        st.sampled_from(
            [
                *(
                    "[",
                    "]",
                    "{",
                    "}",
                    ": ",
                    ", ",
                    "- ",
                    "&a ",
                    "*a",
                    "!!int ",
                    "!!python/name:os ",
                    "<<: ",
                ),
                *(
                    "? ",
                    "|",
                    ">",
                    "'",
                    '"',
                    "#",
                    "%YAML",
                    "---",
                    "...",
                    "0x1f",
                    "1e400",
                    ".nan",
                    "~",
                ),
                *(
                    "1_0",
                    "0o7",
                    "12:30:45",
                    "2026-01-01",
                    "true",
                    "null",
                    "\n",
                    "\t",
                    "=",
                    "9" * 5000,
                ),
            ]
        ),
        max_size=12,
    ).map("".join),
    st.sampled_from(
        ["[" * 2000, "{a: " * 2000, "&a [" + "*a," * 9 + "]", "- " * 2000, "a" * 10**5]
    ),
)
names = st.one_of(
    st.sampled_from(
        [
            "rounds",
            "data.path",
            "data",
            "agents.rewriter.params.x",
            "signals.k",
            "checks.similarity",
        ]
    ),
    st.text(max_size=12),
    st.lists(st.sampled_from([*PIECES, ".", "[0]", "rounds"]), max_size=4).map("".join),
)


@pytest.mark.timeout(600)
def test_any_setting_is_read_or_refused(record_property: RecordProperty) -> None:
    def check(drawn: tuple[str, str, bool]) -> None:
        name, value, environ = drawn
        try:
            if environ:
                variable = "MIDDO_" + name.upper().replace(".", "__")
                load_config(None, environ={variable: value, "MIDDO_ROUNDS": "1"})
            else:
                load_config(None, sets=[f"{name}={value}"], environ={})
        except ConfigError as error:
            in_one_line(error)
            event("refused")
        else:
            event("read")

    fuzz(record_property, check, st.tuples(names, yaml, st.booleans()), few=100, torture=2_000)


DECISIONS = (
    b'{"sample": "3f2a", "decision": "accept"}\n{"all": "reject", "reason": "no"}\n'
    b'{"sample": "a07d", "decision": "edit", "answer": "In 1969."}\n'
)


@pytest.mark.timeout(600)
def test_a_spoiled_file_of_decisions_is_read_or_refused(record_property: RecordProperty) -> None:
    def check(steps: list[Change]) -> None:
        lines = changed(DECISIONS, steps).splitlines(keepends=True)
        try:
            found = read_decisions(lines, "decisions.jsonl")
        except DataError as error:
            in_one_line(error)
        else:
            assert len(found) == sum(bool(line.strip()) for line in lines)

    fuzz(record_property, check, changes, few=50, torture=2_000)
