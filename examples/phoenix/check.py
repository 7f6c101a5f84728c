"""Compare what Arize Phoenix has of a run with the run's own ledger.

    python check.py runs/RUN [http://127.0.0.1:6006]

Asks Phoenix over its API and prints what is there: traces, spans, kinds, sessions, tokens. Exit
code 1 where something is missing. Needs nothing but Python.
"""

import json
import sqlite3
import sys
import urllib.parse
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

PROJECT = "middo"
SAMPLE = "refine sample"
SESSIONS = """{ projects { edges { node { name sessions(first: 1000) { edges { node {
  sessionId numTraces tokenUsage { prompt completion } } } } } } } }"""

Trace = list[dict[str, Any]]


def main() -> int:
    """Print the comparison; return 1 where it finds a difference."""
    folder = Path(sys.argv[1]).resolve()
    server = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:6006"
    fates, calls, tokens = ledger(folder / "ledger.db")
    traces = traces_of(server, folder.name)
    session = session_of(server, folder.name)
    spans = [span for trace in traces for span in trace]
    print(f"Phoenix has {len(traces)} traces with {len(spans)} spans of the run {folder.name}")
    print("kinds:", shown(Counter(span["span_kind"] for span in spans)))
    print("roots:", shown(Counter(span["name"] for span in spans if not span["parent_id"])))

    found = {place(trace): trace for trace in traces if place(trace) is not None}
    seen_calls = {name: sum(s["span_kind"] == "LLM" for s in found[name]) for name in found}
    differences = [
        compared("refined samples", len(fates), len(found)),
        compared("their fates", Counter(fates.values()), Counter(map(fate, found.values()))),
        compared("LLM calls of samples", calls, Counter(seen_calls)),
        compared("tokens", tokens, tuple(session.get("tokens", ()))),
        compared("traces in the session", len(traces), session.get("traces")),
        compared("spans without their parent", 0, sum(map(orphans, traces))),
        compared("spans that leave their parent's time", 0, sum(map(outside, traces))),
    ]
    return int(any(differences))


def compared(what: str, expected: object, got: object) -> bool:
    """Print one comparison; return whether it differs."""
    if isinstance(expected, Counter) and isinstance(got, Counter):
        totals = f"{expected.total()} against {got.total()}"
        differing = sum(((expected - got) + (got - expected)).values())
        same, right = not differing, str(expected.total())
        wrong = f"the ledger and Phoenix differ in {differing} ({totals})"
    else:
        same, right, wrong = expected == got, f"{got}", f"expected {expected}, Phoenix has {got}"
    print(f"ok    {what}: {right}" if same else f"WRONG {what}: {wrong}")
    return not same


def ledger(
    file: Path,
) -> tuple[dict[tuple[int, str], str], Counter[tuple[int, str]], tuple[int, int]]:
    """Return fate and number of calls by round and sample, and tokens read and written."""
    database = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
    calls: Counter[tuple[int, str]] = Counter()
    read = written = 0
    rows = database.execute("SELECT round, sample_id, prompt_tokens, completion_tokens FROM units")
    for number, sample, prompt, completion in rows:
        if sample:
            calls[number, sample] += 1
        read, written = read + (prompt or 0), written + (completion or 0)
    outcomes = database.execute("SELECT round, sample_id, fate FROM outcomes")
    fates = {(number, sample): what for number, sample, what in outcomes if what != "deferred"}
    database.close()
    return fates, calls, (read, written)


def traces_of(server: str, run: str) -> list[Trace]:
    """Return the spans of a run, trace by trace."""
    traces: dict[str, Trace] = defaultdict(list)
    cursor = None
    while True:
        query = {"limit": "1000", **({"cursor": cursor} if cursor else {})}
        path = f"/v1/projects/{PROJECT}/spans?{urllib.parse.urlencode(query)}"
        page = asked(server + path)
        for span in page["data"]:
            if span["attributes"].get("session.id") == run:
                traces[span["context"]["trace_id"]].append(span)
        cursor = page["next_cursor"]
        if not cursor:
            return list(traces.values())


def session_of(server: str, run: str) -> dict[str, Any]:
    """Return what Phoenix counts in the session of a run; empty where there is none."""
    answer = asked(f"{server}/graphql", {"query": SESSIONS})
    for project in answer["data"]["projects"]["edges"]:
        for edge in project["node"]["sessions"]["edges"]:
            node = edge["node"]
            if project["node"]["name"] == PROJECT and node["sessionId"] == run:
                usage = node["tokenUsage"]
                tokens = (int(usage["prompt"]), int(usage["completion"]))
                return {"traces": node["numTraces"], "tokens": tokens}
    return {}


def asked(url: str, document: dict[str, Any] | None = None) -> Any:
    """Return the JSON of an address, to which a document is posted if there is one."""
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def place(trace: Trace) -> tuple[int, str] | None:
    """Return round and sample of a finished sample's trace; None for any other."""
    root = next((span for span in trace if span["name"] == SAMPLE), None)
    if root is None or fate(trace) == "unfinished":
        return None
    return root["attributes"]["middo.round"], root["attributes"]["middo.sample_id"]


def fate(trace: Trace) -> str:
    """Return what became of a trace's sample."""
    return next(str(s["attributes"]["middo.fate"]) for s in trace if s["name"] == SAMPLE)


def orphans(trace: Trace) -> int:
    """Count spans whose parent is not in their trace; one span has none."""
    known = {span["context"]["span_id"] for span in trace}
    roots = sum(not span["parent_id"] for span in trace)
    lost = sum(bool(span["parent_id"]) and span["parent_id"] not in known for span in trace)
    return lost + abs(roots - 1)


def outside(trace: Trace) -> int:
    """Count spans that begin before their parent or end after it."""
    known = {span["context"]["span_id"]: span for span in trace}
    pairs = [(known[s["parent_id"]], s) for s in trace if s["parent_id"] in known]
    return sum(
        not outer["start_time"] <= inner["start_time"] <= inner["end_time"] <= outer["end_time"]
        for outer, inner in pairs
    )


def shown(counts: Counter[str]) -> str:
    """Return counts as text, the largest first."""
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


if __name__ == "__main__":
    sys.exit(main())
