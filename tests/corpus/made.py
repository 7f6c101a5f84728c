"""Inputs of the corpus that are made when they are tested: packed, binary, very large, odd places.

Each builder takes an empty folder, makes its input there, and returns what a user would name as
`data.path`. What Middo must say of it stands in `expected.toml` under the same name.
"""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
Builder = Callable[[Path], Path | str]


def qa(number: int) -> Row:
    return {"question": f"What is {number} + {number}?", "answer": f"It is {2 * number}."}


ROWS = [qa(number) for number in (1, 2, 3)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def content(name: str, data: bytes | Callable[[], bytes]) -> Builder:
    """Return the builder of a file with these bytes."""

    def build(folder: Path) -> Path:
        (folder / name).write_bytes(data() if callable(data) else data)
        return folder / name

    return build


def parquet(name: str, table: Callable[[], pa.Table], **options: Any) -> Builder:
    """Return the builder of a Parquet file."""

    def build(folder: Path) -> Path:
        pq.write_table(table(), folder / name, **options)
        return folder / name

    return build


def typed(**columns: tuple[pa.DataType, Any]) -> Callable[[], pa.Table]:
    """Return a table of questions with more columns, each with one value in every row."""

    def table() -> pa.Table:
        more = {key: pa.array([value] * 3, kind) for key, (kind, value) in columns.items()}
        return pa.table({**pa.Table.from_pylist(ROWS).to_pydict(), **more})

    return table


def parquet_bytes(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def arrow_bytes(table: pa.Table, *, file: bool) -> bytes:
    buffer = io.BytesIO()
    new = pa.ipc.new_file if file else pa.ipc.new_stream
    with new(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


def plain() -> pa.Table:
    return pa.Table.from_pylist(ROWS)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("rows.jsonl", LINES)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        entry = tarfile.TarInfo("rows.jsonl")
        entry.size = len(LINES)
        packed.addfile(entry, io.BytesIO(LINES))
    return buffer.getvalue()


class Trap:
    """Unpickled, it makes a folder: a test sees that nobody unpickled it."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("unpickled",)


def sqlite(folder: Path) -> Path:
    with closing(sqlite3.connect(folder / "rows.db")) as database:
        database.execute("create table rows (question text, answer text)")
        database.commit()
    return folder / "rows.db"


# Parquet and Arrow

TYPES = typed(
    word=(pa.dictionary(pa.int32(), pa.string()), "kept"),
    price=(pa.decimal128(9, 2), Decimal("1.50")),
    at=(pa.timestamp("us", tz="UTC"), datetime(2024, 5, 1, 12)),
    nanoseconds=(pa.timestamp("ns"), 1_714_564_800_000_000_123),
    day=(pa.date32(), date(2024, 5, 1)),
    clock=(pa.time64("us"), time(12, 30)),
    took=(pa.duration("ms"), timedelta(seconds=90)),
    long=(pa.large_string(), "kept"),
    nothing=(pa.null(), None),
    tags=(pa.map_(pa.string(), pa.int64()), [("a", 1)]),
    nested=(pa.list_(pa.struct([("x", pa.list_(pa.float32()))])), [{"x": [0.5, None]}]),
    half=(pa.float16(), 0.5),
    unsigned=(pa.uint64(), 2**64 - 1),
)


def far_years() -> pa.Table:
    return plain().append_column("at", pa.array([0, 10**13, None], pa.timestamp("s")))


def duplicate_columns() -> pa.Table:
    texts = [pa.array([row[key] for row in ROWS]) for key in ("question", "answer", "answer")]
    return pa.Table.from_arrays(texts, names=["question", "answer", "answer"])


def duplicate_fields() -> pa.Table:
    inner = pa.StructArray.from_arrays([pa.array([1] * 3), pa.array([2] * 3)], names=["x", "x"])
    return plain().append_column("extra", inner)


def turns_with_empty_fields() -> pa.Table:
    turn = pa.struct([(name, pa.string()) for name in ("role", "content", "name", "tool_calls")])
    rows = [
        [{"role": "user", "content": "q"}, {"role": "assistant", "content": f"a{n}"}]
        for n in range(3)
    ]
    return pa.table({"messages": pa.array(rows, pa.list_(turn)), "n": [1, 2, 3]})


def bad_utf8() -> pa.Table:
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffb")]
    )
    return pa.table({"question": broken, "answer": ["a"]})


# Places


def folder_of(*files: tuple[str, bytes]) -> Builder:
    """Return the builder of a folder with these files."""

    def build(folder: Path) -> Path:
        for name, data in files:
            (folder / "set" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "set" / name).write_bytes(data)
        (folder / "set").mkdir(exist_ok=True)
        return folder / "set"

    return build


def linked(name: str, target: str) -> Builder:
    """Return the builder of a symbolic link."""

    def build(folder: Path) -> Path:
        (folder / name).symlink_to(target)
        return folder / name

    return build


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "rows.jsonl")
    return folder / "rows.jsonl"


def folder_with(place: Builder, name: str) -> Builder:
    """Return the builder of a folder that holds a sound file and one odd entry."""

    def build(folder: Path) -> Path:
        inner = folder / "set"
        inner.mkdir()
        (inner / "a.jsonl").write_bytes(LINES)
        made = place(inner)
        assert made == inner / name
        return inner

    return build


def named_like_a_file(folder: Path) -> Path:
    (folder / "rows.jsonl").mkdir()
    return folder / "rows.jsonl"


STATE = json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": None})
SAVED = (
    ("data-00000-of-00001.arrow", arrow_bytes(plain(), file=False)),
    ("dataset_info.json", b'{"features": {}}'),
    ("state.json", STATE.encode()),
)


def split_folders(*splits: str) -> Builder:
    """Return the builder of what `DatasetDict.save_to_disk` writes."""
    files = [(f"{split}/{name}", data) for split in splits for name, data in SAVED]
    return folder_of(("dataset_dict.json", json.dumps({"splits": splits}).encode()), *files)


# Sizes


def one_row(**row: Any) -> bytes:
    return json.dumps(row).encode() + b"\n"


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def nested_row(depth: int) -> bytes:
    return b'{"question": "q", "answer": "a", "deep": %s}\n' % nested(depth)


MADE: dict[str, Builder] = {
    "packed/rows.jsonl": content("rows.jsonl", gzip.compress(LINES)),
    "packed/plain.jsonl.gz": content("plain.jsonl.gz", LINES),
    "packed/array.json.gz": content("array.json.gz", gzip.compress(json.dumps(ROWS).encode())),
    "packed/members.jsonl.gz": content(
        "members.jsonl.gz", gzip.compress(b"\n") + gzip.compress(LINES) + gzip.compress(LINES)
    ),
    "packed/parquet.gz": content("rows.parquet.gz", lambda: gzip.compress(parquet_bytes(plain()))),
    "packed/cut.jsonl.gz": content("cut.jsonl.gz", gzip.compress(LINES * 99)[:-20]),
    "packed/damaged.jsonl.gz": content(
        "damaged.jsonl.gz", gzip.compress(LINES)[:20] + b"\0\0\0" + gzip.compress(LINES)[23:]
    ),
    "packed/only-magic.gz": content("only-magic.gz", b"\x1f\x8b"),
    "packed/twice.jsonl.gz": content("twice.jsonl.gz", gzip.compress(gzip.compress(LINES))),
    "packed/empty.jsonl.gz": content("empty.jsonl.gz", gzip.compress(b"")),
    "packed/rows.zip": content("rows.zip", zipped),
    "packed/rows.jsonl.bz2": content("rows.jsonl.bz2", bz2.compress(LINES)),
    "packed/rows.jsonl.xz": content("rows.jsonl.xz", lzma.compress(LINES)),
    "packed/rows.jsonl.zst": content(
        "rows.jsonl.zst", lambda: pa.compress(LINES, "zstd", asbytes=True)
    ),
    "packed/rows.tar": content("rows.tar", tarred),
    "packed/rows.7z": content("rows.7z", b"7z\xbc\xaf\x27\x1c\0\4" + bytes(24)),
    "foreign/book.xlsx": content("book.xlsx", zipped),
    "foreign/book.xls": content("book.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)),
    "foreign/paper.pdf": content("paper.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"),
    "foreign/rows.db": sqlite,
    "foreign/rows.pkl": content("rows.pkl", lambda: pickle.dumps([Trap(), ROWS])),
    "foreign/rows-0.pkl": content("rows-0.pkl", lambda: pickle.dumps([Trap(), ROWS], 0)),
    "foreign/tensor.npy": content("tensor.npy", b"\x93NUMPY\1\0v\0{'descr': '<f8'}"),
    "foreign/picture.png": content("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    "foreign/rows.avro": content("rows.avro", b"Obj\1\4\x16avro.schema"),
    "foreign/noise.bin": content("noise.bin", bytes(range(255, 0, -1)) * 4),
    "foreign/zeros.bin": content("zeros.bin", bytes(4096)),
    "columnar/types.parquet": parquet("types.parquet", TYPES),
    "columnar/turns.parquet": parquet("turns.parquet", turns_with_empty_fields),
    "columnar/binary.parquet": parquet("binary.parquet", typed(image=(pa.binary(), b"\x89PNG"))),
    "columnar/not-a-number.parquet": parquet(
        "not-a-number.parquet", typed(score=(pa.float64(), float("nan")))
    ),
    "columnar/far-years.parquet": parquet("far-years.parquet", far_years),
    "columnar/duplicate-columns.parquet": parquet("duplicate-columns.parquet", duplicate_columns),
    "columnar/duplicate-fields.parquet": parquet("duplicate-fields.parquet", duplicate_fields),
    "columnar/no-rows.parquet": parquet("no-rows.parquet", lambda: plain().slice(0, 0)),
    "columnar/no-columns.parquet": parquet("no-columns.parquet", lambda: pa.table({})),
    "columnar/answers-missing.parquet": parquet(
        "answers-missing.parquet",
        lambda: pa.table({"question": ["q1", None, "q3"], "answer": ["a", "b", None]}),
    ),
    "columnar/bad-utf-8.parquet": parquet("bad-utf-8.parquet", bad_utf8),
    "columnar/cut.parquet": content("cut.parquet", lambda: parquet_bytes(plain())[:-30]),
    "columnar/only-magic.parquet": content("only-magic.parquet", b"PAR1"),
    "columnar/magic-twice.parquet": content("magic-twice.parquet", b"PAR1\0\0\0\0PAR1"),
    "columnar/encrypted.parquet": content("encrypted.parquet", b"PARE" + bytes(40) + b"PARE"),
    "columnar/stream.arrow": content("stream.arrow", lambda: arrow_bytes(plain(), file=False)),
    "columnar/file.arrow": content("file.arrow", lambda: arrow_bytes(plain(), file=True)),
    "columnar/named.json": content("named.json", lambda: arrow_bytes(plain(), file=True)),
    "columnar/cut.arrow": content("cut.arrow", lambda: arrow_bytes(plain(), file=False)[:-200]),
    "columnar/ones.arrow": content("ones.arrow", b"\xff" * 64),
    "columnar/duplicate-columns.arrow": content(
        "duplicate-columns.arrow", lambda: arrow_bytes(duplicate_columns(), file=True)
    ),
    "columnar/old.feather": content("old.feather", b"FEA1\0\0\0\0" + bytes(40) + b"FEA1"),
    "places/missing.jsonl": lambda folder: folder / "missing.jsonl",
    "places/empty-name": lambda folder: "",
    "places/long-name": lambda folder: "x" * 5000,
    "places/no-such-user": lambda folder: "~no-such-user-here/rows.jsonl",
    "places/line-break-in-name": content("a\nb\x1b[31m.jsonl", b"{}\n"),
    "places/nul-in-name": lambda folder: "rows\0.jsonl",
    "places/zeros": lambda folder: "/dev/zero",
    "places/null": lambda folder: "/dev/null",
    "places/pipe": pipe,
    "places/loop": linked("rows.jsonl", "rows.jsonl"),
    "places/dangling": linked("rows.jsonl", "gone.jsonl"),
    "places/unreadable": lambda folder: "/proc/self/mem",
    "places/named-like-a-file": named_like_a_file,
    "folders/empty": folder_of(),
    "folders/only-a-licence": folder_of(("LICENSE.txt", b"free")),
    "folders/rows-below": folder_of(("train/rows.jsonl", LINES)),
    "folders/one-file-is-bad": folder_of(("a.jsonl", LINES), ("b.jsonl", b"[1,")),
    "folders/one-file-is-empty": folder_of(("a.jsonl", LINES), ("b.jsonl", b"")),
    "folders/two-forms": folder_of(
        ("a.jsonl", LINES), ("b.jsonl", b'{"instruction": "i", "output": "o"}')
    ),
    "folders/kinds": folder_of(
        ("a.jsonl", LINES),
        ("b.csv", b"question,answer\nq,a\n"),
        ("c.json.gz", gzip.compress(json.dumps(ROWS).encode())),
        ("d.parquet", parquet_bytes(plain())),
        ("e.txt", LINES),
    ),
    "folders/with-a-pipe": folder_with(pipe, "rows.jsonl"),
    "folders/with-a-dangling-link": folder_with(linked("b.jsonl", "gone"), "b.jsonl"),
    "folders/with-a-folder-named-like-a-file": folder_with(named_like_a_file, "rows.jsonl"),
    "folders/saved": folder_of(*SAVED),
    "folders/saved-with-cache": folder_of(
        *SAVED, ("cache-0123456789abcdef.arrow", arrow_bytes(plain(), file=False))
    ),
    "folders/saved-without-a-shard": folder_of(*SAVED[1:], ("cache-1.arrow", SAVED[0][1])),
    "folders/saved-splits": split_folders("train", "test"),
    "sizes/long-line.jsonl": content(
        "long-line.jsonl", lambda: one_row(question="q", answer="word " * 1_000_000)
    ),
    "sizes/long-line-broken.jsonl": content(
        "long-line-broken.jsonl",
        lambda: LINES + b'{"question": "q", "answer": "' + b"word " * 1_000_000 + b"\n",
    ),
    "sizes/200000-tokens.jsonl": content(
        "200000-tokens.jsonl",
        lambda: LINES + one_row(question="Count.", answer=" ".join(map(str, range(200_000)))),
    ),
    "sizes/wide-field.csv": content(
        "wide-field.csv", b"question,answer\nq," + b"a" * 1_000_000 + b"\n"
    ),
    "sizes/many-columns.csv": content(
        "many-columns.csv", ",".join(f"c{n}" for n in range(5_000)).encode() + b"\n"
    ),
    "sizes/many-turns.jsonl": content(
        "many-turns.jsonl",
        lambda: one_row(
            messages=[
                {"role": ("user", "assistant")[n % 2], "content": f"turn {n}"}
                for n in range(20_000)
            ]
        ),
    ),
    "sizes/many-bad-rows.jsonl": content(
        "many-bad-rows.jsonl", LINES + b'{"question": "q", "answer": ""}\n' * 5_000
    ),
    "sizes/long-words.jsonl": content(
        "long-words.jsonl",
        lambda: (
            one_row(messages=[{"role": "r" * 100_000, "content": "q"}])
            + one_row(
                messages=[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
            )
            + one_row(**{"x" * 100_000: 1})
            + b'{"%s": 1, "%s": 2}\n' % (b"k" * 100_000, b"k" * 100_000)
            + one_row(messages=[], **{"m" * 100_000: "\ud800"})
        ),
    ),
    "sizes/long-header.csv": content(
        "long-header.csv", b"question,answer,%s,%s\n" % (b"k" * 100_000, b"k" * 100_000)
    ),
    "sizes/leading-blanks.jsonl": content("leading-blanks.jsonl", b"\n" * 100_000 + LINES),
    "sizes/leading-blanks.json": content(
        "leading-blanks.json", b" " * 100_000 + json.dumps(ROWS).encode()
    ),
    "sizes/blanks-alone.jsonl": content("blanks-alone.jsonl", b" \n" * 100_000),
    "sizes/nul-far-in.jsonl": content(
        "nul-far-in.jsonl", LINES * 500 + b'{"question": "a\0b", "answer": "c"}\n'
    ),
    "sizes/nul-far-in.csv": content(
        "nul-far-in.csv", b"question,answer\n" + b"q,a\n" * 20_000 + b"a\0b,c\n"
    ),
    "sizes/nested-100.jsonl": content("nested-100.jsonl", LINES + nested_row(100)),
    "sizes/nested-300.jsonl": content("nested-300.jsonl", LINES + nested_row(300)),
    "sizes/nested-1000.jsonl": content("nested-1000.jsonl", LINES + nested_row(1_000)),
    "sizes/nested-1000.json": content("nested-1000.json", b"[%s]" % nested_row(1_000)),
    "sizes/nested-100000.jsonl": content("nested-100000.jsonl", LINES + nested_row(100_000)),
    "sizes/nested-100000.json": content("nested-100000.json", nested(100_000)),
    "sizes/nested-objects.jsonl": content(
        "nested-objects.jsonl", LINES + b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    ),
    "sizes/late-form.jsonl": content(
        "late-form.jsonl", b'{"instruction": "i", "output": "o"}\n' * 100 + LINES
    ),
}
"""Name in the table -> builder."""
