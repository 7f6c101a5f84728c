"""All that a folder holds, to be searched for what must not be there."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq


def texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each file as it is, and the rows of tables and databases in the clear."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        yield str(path), path.read_bytes()
        if path.suffix == ".parquet":
            yield f"{path} (rows)", repr(pq.read_table(path).to_pydict()).encode()
        if path.suffix in {".db", ".sqlite3"}:
            connection = sqlite3.connect(path)
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'"):
                try:
                    rows = connection.execute(f'SELECT * FROM "{name}"').fetchall()
                except sqlite3.OperationalError:  # a virtual table whose module is not here
                    continue
                yield f"{path} ({name})", repr(rows).encode()
            connection.close()
