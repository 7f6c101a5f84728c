"""Group commit: what many coroutines write at the same time reaches the disk in one transaction.

A sync takes milliseconds, whether it is for one row or for sixty. While one group is on its way to
the disk the next one gathers, so nobody waits by the clock, and a lone write goes at once.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from .database import Database, usable


@dataclass(frozen=True, slots=True)
class _Write:
    sql: str
    values: Sequence[object]
    done: asyncio.Future[bool]


class Commits:
    """The writes of one event loop into a database, in the order in which they were handed in."""

    def __init__(self, database: Database) -> None:
        """Write into an open database."""
        self._database = database
        self._waiting: list[_Write] = []
        self._flushing: asyncio.Task[None] | None = None

    async def write(self, sql: str, values: Sequence[object]) -> bool:
        """Run one INSERT and return, once it is on the disk, whether it added a row.

        A caller that is cancelled while it waits may still find its row written.

        Raises:
            sqlite3.Error: the row was refused; the others of its group are not touched.
            StorageError: the disk refuses the group: nothing of it is there.
            MiddoError: the file is damaged, or another process holds it for too long.
        """
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Write(sql, values, done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        with usable(self._database.name):
            return await done

    async def _flush(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            results: Sequence[bool | Exception]
            try:
                results = await asyncio.to_thread(self._commit, group)
            except Exception as error:  # no thread to be had: whoever waits must hear of it
                results = [error] * len(group)
            for write, result in zip(group, results, strict=True):
                if write.done.done():  # its caller was cancelled
                    continue
                if isinstance(result, Exception):
                    write.done.set_exception(result)
                else:
                    write.done.set_result(result)

    def _commit(self, group: Sequence[_Write]) -> Sequence[bool | Exception]:
        try:
            with self._database.transaction() as connection:
                return [_run(connection, write) for write in group]
        except Exception as error:  # nothing of the group is there; every caller hears why
            return [error] * len(group)


def _run(connection: sqlite3.Connection, write: _Write) -> bool | Exception:
    try:
        return connection.execute(write.sql, write.values).rowcount > 0
    except sqlite3.OperationalError:  # it is about the file, and so about the whole group
        raise
    except (sqlite3.Error, ValueError, OverflowError) as error:
        return error
