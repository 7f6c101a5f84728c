"""A run of hostile samples, and a browser without scripts on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from middo.core.records import Axis, Sample
from middo.inspection.record import open_record
from middo.viewer.app import make_app
from middo.viewer.security import Door, hosts_of
from tests.inspection.folder import Folder, proposal, rewritten, sample

HOME = "http://127.0.0.1:8710"
SCRIPT = "<script>alert('s')</script>"
HANDLER = '"><img src=x onerror=alert(1)> \' onmouseover=alert(2) x="'
BIDI = "left \u202e right \u2066 end \x00 nul \x1b[31m red"
LONG = "long " + "x<" * 500_000
TEXTS = (SCRIPT, HANDLER, BIDI, LONG, "{{ 7*7 }} {% for x in y %}", "javascript:alert(1)")


def hostile() -> list[Sample]:
    """Return samples whose prompts and answers are all of the hostile texts."""
    return [sample(f"{text} prompt", f"{text} answer", n + 1) for n, text in enumerate(TEXTS)]


def served(folder: Path) -> Iterator[TestClient]:
    """Yield a client of the whole application over a run folder."""
    record = open_record(folder)
    app = make_app(record, Door(hosts_of(["127.0.0.1"], 8710)))
    made = TestClient(app, base_url=HOME, follow_redirects=False)  # type: ignore[arg-type]
    yield made
    made.close()
    record.close()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A finished run: the first sample was rewritten, a rewrite of the second was refused."""
    folder = Folder(tmp_path_factory.mktemp("hostile") / "run")
    rows = hostile()
    made = rewritten(rows[0], f"{HANDLER} new", f"{SCRIPT} new {BIDI}", 0)
    folder.dataset(0, rows, gate="baseline")
    ids = [row.id for row in rows]
    folder.diagnosis(
        0,
        {
            "complexity": {name: float(n) for n, name in enumerate(ids)},
            "diversity": dict.fromkeys(ids, 0.5),
            "quality": {name: 0.1 * (n + 1) for n, name in enumerate(ids)},
        },
        [(ids[0], Axis.QUALITY, f"broken {SCRIPT}"), (ids[1], Axis.COMPLEXITY, "hard")],
        vectors={name: (1.0, n * 0.1, 0.0) for n, name in enumerate(ids)},
        neighbours={ids[0]: (ids[1], ids[2])},
        clusters={ids[0]: 3, ids[1]: 3},
    )
    accepted = proposal(rows[0], made, Axis.QUALITY, "accepted")
    folder.outcome(0, rows[0], Axis.QUALITY, "accepted", proposals=[accepted])
    refused = proposal(rows[1], made, Axis.COMPLEXITY, "rejected")
    refused["reason"] = f"critic: {HANDLER}"
    reason = f"critic: {HANDLER}"
    folder.outcome(0, rows[1], Axis.COMPLEXITY, "rejected", reason, proposals=[refused])
    folder.document["rounds"][0] |= {
        "flagged": {"samples": 2, "quality": 1, "complexity": 1, "diversity": 0},
        **{"accepted": 1, "rejected": 1, "failed": 0, "deferred": 0},
        "cautions": [f"caution {SCRIPT}"],
        "evaluation": {"holdout_loss": 2.5, "interval": [2.0, 3.0], "rows": 20},
        "times": {"prepare": 1.0, "train": 65.0, "evaluate": 2.0, "gate": 0.0},
    }
    folder.document |= {"stopped": f"done {HANDLER}", "seconds": 70.0}
    folder.dataset(1, [made, *rows[1:]])
    folder.finish(best=0)
    return folder


@pytest.fixture(scope="session")
def browser(run: Folder) -> Iterator[TestClient]:
    """A client of the application over the run of hostile samples."""
    yield from served(run.path)
