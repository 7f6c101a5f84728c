"""The tables of `traces.db`, made for people who query them; see `docs/traces.md`.

Long texts (messages, raw answers, parsed values) stand once in `texts` under their hash, however
many calls hold them. A text that UTF-8 has no form for, one with a lone surrogate, is kept as a
BLOB in the place of the TEXT.
"""

import sqlite3

from .database import Migration

TRACES_DB = "traces.db"


def _m001_events(connection: sqlite3.Connection) -> None:
    for statement in _EVENTS:
        connection.execute(statement)


_EVENTS = (
    "CREATE TABLE texts (hash TEXT PRIMARY KEY, text TEXT NOT NULL)",
    """CREATE TABLE calls (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, round INTEGER NOT NULL,
        sample_id TEXT NOT NULL, axes TEXT NOT NULL, agent TEXT NOT NULL,
        attempt INTEGER NOT NULL, source TEXT NOT NULL, model TEXT NOT NULL,
        prompt TEXT NOT NULL, prompt_version INTEGER NOT NULL, prompt_hash TEXT NOT NULL,
        status TEXT NOT NULL, value_hash TEXT REFERENCES texts (hash), error TEXT,
        prompt_tokens INTEGER, completion_tokens INTEGER, usd REAL,
        began REAL NOT NULL, seconds REAL NOT NULL)""",
    "CREATE INDEX calls_by_sample ON calls (sample_id, round)",
    """CREATE TABLE call_messages (
        call_id INTEGER NOT NULL REFERENCES calls (id), place INTEGER NOT NULL,
        role TEXT NOT NULL, text_hash TEXT NOT NULL REFERENCES texts (hash),
        PRIMARY KEY (call_id, place)) WITHOUT ROWID""",
    """CREATE TABLE call_answers (
        call_id INTEGER NOT NULL REFERENCES calls (id), place INTEGER NOT NULL,
        text_hash TEXT NOT NULL REFERENCES texts (hash),
        PRIMARY KEY (call_id, place)) WITHOUT ROWID""",
    """CREATE TABLE verdicts (
        id INTEGER PRIMARY KEY, round INTEGER NOT NULL, sample_id TEXT NOT NULL,
        attempt INTEGER NOT NULL, proposal_id TEXT NOT NULL, node TEXT NOT NULL,
        gate TEXT NOT NULL, passed INTEGER NOT NULL, numbers TEXT NOT NULL,
        reason TEXT NOT NULL, at REAL NOT NULL,
        UNIQUE (sample_id, round, attempt, proposal_id, node, gate))""",
    """CREATE TABLE nodes (
        id INTEGER PRIMARY KEY, node TEXT NOT NULL, round INTEGER NOT NULL, began REAL NOT NULL,
        seconds REAL, status TEXT, summary TEXT, UNIQUE (node, round, began))""",
    """CREATE TABLE settled (
        round INTEGER NOT NULL, sample_id TEXT NOT NULL, axis TEXT NOT NULL, fate TEXT NOT NULL,
        reason TEXT NOT NULL, attempts INTEGER NOT NULL, began REAL NOT NULL,
        seconds REAL NOT NULL, PRIMARY KEY (round, sample_id))""",
    """CREATE VIEW calls_in_full AS
        SELECT calls.*,
            (SELECT group_concat(part, '\n\n') FROM (
                SELECT '[' || role || '] ' || text AS part
                FROM call_messages JOIN texts ON hash = text_hash
                WHERE call_id = calls.id ORDER BY place)) AS messages,
            (SELECT group_concat(text, '\n\n') FROM (
                SELECT text FROM call_answers JOIN texts ON hash = text_hash
                WHERE call_id = calls.id ORDER BY place)) AS raw,
            (SELECT text FROM texts WHERE hash = value_hash) AS value
        FROM calls""",
)

TRACE_MIGRATIONS: list[Migration] = [_m001_events]
