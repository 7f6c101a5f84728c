"""Files that are no data set: what they are, and what to do about it.

They are known by their first bytes. Nothing in them is unpacked, parsed or loaded.
"""

import re

READ = "Middo reads JSON, JSON Lines, CSV, Parquet and Arrow"

_UNPACK = "unpack it and name the file inside"
_SAVE = "save the rows as JSON Lines, CSV or Parquet"
_MARKS = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", f"{_UNPACK}, or save it as CSV"),
    (b"\x1f\x8b", "packed with gzip twice", "unpack it once"),
    (b"BZh", "packed with bzip2", "unpack it, or pack it with gzip"),
    (b"\xfd7zXZ\0", "packed with xz", "unpack it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "packed with Zstandard", "unpack it, or pack it with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word document", "save it as CSV"),
    (b"%PDF-", "a PDF document", _SAVE),
    (b"SQLite format 3\0", "an SQLite database", _SAVE),
    (b"\x80", "a Python pickle, which Middo never loads", _SAVE),
    (b"\x93NUMPY", "a NumPy array", _SAVE),
    (b"\x89HDF", "an HDF5 file", _SAVE),
    (b"Obj\x01", "an Avro file", _SAVE),
    (b"ORC", "an ORC file", _SAVE),
    (b"PARE", "an encrypted Parquet file", "save it without encryption"),
    (b"FEA1", "a Feather file of version 1", "save it as Parquet or Feather version 2"),
    (b"GGUF", "a model", "name a file of rows"),
    (b"\x89PNG", "a picture", "name a file of rows"),
    (b"\xff\xd8\xff", "a picture", "name a file of rows"),
    (b"version https://git-lfs", "a Git LFS pointer, not the data", "get it with `git lfs pull`"),
    (b"<!DOCTYPE", "a web page", "download the data file itself"),
    (b"<!doctype", "a web page", "download the data file itself"),
    (b"<html", "a web page", "download the data file itself"),
    (b"<?xml", "an XML document", _SAVE),
)
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f]")
_LOOK = 512
"""A mark of letters alone, such as PARE, also starts words of a CSV header: bytes that no text has
must follow within so many."""

_TAR = 257  # where a tar archive has its mark
_UTF_16 = re.compile(rb"(?:[^\0]\0){2}|(?:\0[^\0]){2}")
_UTF_32 = re.compile(rb"(?:[^\0]\0\0\0){2}|(?:\0\0\0[^\0]){2}")
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF_32_MARKS = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")


def foreign(head: bytes) -> str | None:
    """Return what a file is that starts with `head` and what to do, None where it may be rows."""
    text = _CONTROL.search(head, 0, _LOOK) is None
    for mark, what, advice in _MARKS:
        if head.startswith(mark) and not (text and mark.isalnum()):
            return f"is {what}; {advice}"
    if head[_TAR : _TAR + 5] == b"ustar":
        return f"is a tar archive; {_UNPACK}"
    encoding = _wide(head)
    return None if encoding is None else f"looks like {encoding}; save the file as UTF-8"


def _wide(head: bytes) -> str | None:
    if head.startswith(_UTF_32_MARKS) or _UTF_32.match(head):
        return "UTF-32"
    if head.startswith(_UTF_16_MARKS) or _UTF_16.match(head):
        return "UTF-16"
    return None
