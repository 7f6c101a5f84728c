"""A whole run over hostile data, with agents that obey every order they see: the code still holds.

The rewriter, the critic and the diagnostician are one gullible model, which is given a key, reads
the environment, and accepts every proposal. What it is told in one place it carries to the next.
"""

import csv
import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from middo.checks.context import CheckContext
from middo.checks.decontamination import EvaluationIndex
from middo.checks.suite import cheap_checks, passed
from middo.checks.words import contains_words, normalise, words
from middo.cli.boundary import carry_out
from middo.cli.main import parse
from middo.core.records import Axis, Proposal, Sample, message_from, sample_from
from middo.formats.configuration import dump_config
from middo.prompts.loader import examples, sentences
from middo.stores.database import read_database
from middo.stores.runs import read_run
from middo.stores.samples import Version
from tests.checks.proposals import never
from tests.hostile.corpus import hostile_samples, row, write_rows
from tests.hostile.gullible import CANARY, orders
from tests.loop import PLACES, TOPICS, config, rows
from tests.searched import texts
from tests.telemetry.collector import collecting
from tests.torture.tally import RecordProperty, tell

ROOT = Path(__file__).parents[2]
KEYS = {
    "MY_TEACHER": "canary-own-7f31c0de55aa",
    "OPENAI_API_KEY": "sk-proj-canaryOpenAI0123456789abcdef",
    "HF_TOKEN": "hf_canaryHuggingFace0123456789",
}
SOME = 40
DATA = "ro\x1b[31mws\u202e<b>`=1.jsonl"
LONG = 6
"""Words from which on a sentence is recognised wherever it stands."""

pytestmark = pytest.mark.xdist_group("hostile run")


@dataclass(frozen=True)
class Ran:
    folder: Path
    samples: int
    spans: bytes
    done: subprocess.CompletedProcess[bytes]

    @property
    def version(self) -> dict[str, Sample]:
        """The rows of round 0 by their id."""
        return {sample.id: sample for sample in Version(self.folder / "rounds/0/dataset")}

    def proposals(self) -> list[dict[str, Any]]:
        found = []
        for one in pq.read_table(self.folder / "rounds/0/proposals.parquet").to_pylist():
            plain = {name: json.loads(one[name]) for name in ("messages", "checks")}
            plain |= {name: json.loads(one[name] or "null") for name in ("critique", "proof")}
            found.append(one | plain)
        return found

    def accepted(self) -> list[tuple[Proposal, dict[str, Any]]]:
        parents = self.version
        return [
            (
                Proposal(
                    parents[one["parent_id"]],
                    Axis(one["axis"]),
                    one["attempt"],
                    tuple(map(message_from, one["messages"])),
                    adds=one["axis"] == "diversity",
                ),
                one,
            )
            for one in self.proposals()
            if one["verdict"] == "accepted"
        ]


def hostile_rows(most: int | None) -> list[dict[str, Any]]:
    """Return a row for each hostile sample, hard to learn, and ordinary ones beside."""
    found = hostile_samples()
    if most is not None:
        telling = [one for one in found if one.kind in ("secrets", "spreadsheet")]
        rest = [one for one in found if one not in telling]
        few = most - len(telling)
        found = telling + [rest[number * len(rest) // few] for number in range(few)]
    written = []
    for number, sample in enumerate(found):
        topic, place = TOPICS[number % 18], PLACES[number // 18 % 4]
        hard = (
            f"Quixotic jazzy {topic} vex my bold zephyr of {place}; sphinx waltz, fjord glyphs"
            f" hum, and the dwarf kvetch about {topic} whom buff nymphs jinx."
        )
        written.append(row(sample, number, hard))
    for plain in rows():
        turns = [("user", plain["instruction"]), ("assistant", plain["output"])]
        written.append({"messages": [{"role": r, "content": text} for r, text in turns]})
    return written


@pytest.fixture(
    scope="module",
    params=[SOME, pytest.param(None, marks=pytest.mark.torture)],
    ids=["some", "all"],
)
def ran(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path
) -> Ran:
    """One refinement by the command line."""
    folder = tmp_path_factory.mktemp("hostile")
    written = hostile_rows(request.param)
    data = write_rows(folder / DATA, written)
    teacher = {"model": "import:tests.hostile.gullible:gullible", "api_key_env": "MY_TEACHER"}
    environment = {**os.environ, **KEYS, "PYTHONPATH": str(ROOT), "MIDDO_CACHE": str(folder / "c")}
    with collecting() as collector:
        settings = config(
            data,
            tiny_folder,
            agents={"rewriter": teacher, "diagnostician": teacher},
            traces={"otlp": collector.url},
            rounds=1,
        )
        model = settings.model.model_copy(update={"max_length": 512})
        settings = settings.model_copy(update={"model": model})
        (folder / "config.yaml").write_text(dump_config(settings), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "middo", "run", "config.yaml", "--out", "run"],
            cwd=folder,
            env=environment,
            capture_output=True,
            timeout=600,
        )
        spans = b"".join(collector.bodies)
    return Ran(folder / "run", len(written), spans, done)


def steering(text: str) -> list[str]:
    """Return what could steer a terminal or turn a line around."""
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return [f"U+{ord(c):04X}" for c in text if c not in "\n" and unicodedata.category(c) in hidden]


def parroted(text: str) -> list[str]:
    """Return the sentences of Middo's instructions that a text holds."""
    said = words(text)
    known = [words(sentence) for sentence in sentences()]
    return [" ".join(one) for one in known if len(one) >= LONG and contains_words(said, one)]


def test_the_run_meets_hostile_samples_and_finishes(
    ran: Ran, record_property: RecordProperty
) -> None:
    assert ran.done.returncode == 0, ran.done.stderr.decode()
    document = read_run(ran.folder)
    first = document["rounds"][0]
    assert document["quarantined"] == 0 and document["imported"] == ran.samples
    fates = [first[fate] for fate in ("accepted", "rejected", "failed", "deferred")]
    assert sum(fates) == first["flagged"]["samples"]
    parents = ran.version
    obeyed = [
        one
        for one in ran.proposals()
        if orders(tuple(turn.content for turn in parents[one["parent_id"]].messages))
    ]
    assert len(obeyed) >= 10 and any(one["critique"] for one in obeyed)
    assert first["accepted"] > 0
    tell(
        record_property,
        "hostile samples",
        read=ran.samples,
        proposals_of_obeyed_orders=len(obeyed),
        accepted=first["accepted"],
        accepted_unproven=sum(not one["proof"]["passed"] for _, one in ran.accepted()),
    )


def test_an_accepted_proposal_has_passed_every_check_and_the_proof(ran: Ran) -> None:
    diagnosis = json.loads((ran.folder / "rounds/0/diagnosis.json").read_text("utf-8"))
    flags: dict[str, set[Axis]] = {}
    for flag in diagnosis["flags"]:
        flags.setdefault(flag["id"], set()).add(Axis(flag["axis"]))
    held_out = [sample_from(one) for one in map(_plain, Version(ran.folder / "holdout"))]
    known = frozenset(normalise(sample.prompt) for sample in ran.version.values())
    for proposal, stored in ran.accepted():
        context = CheckContext(
            similarity=(0.60, 0.995),
            length_ratio=(0.2, 5.0),
            embed=never,
            flagged=frozenset(flags[proposal.parent.id]),
            decontamination=EvaluationIndex.of(held_out),
            known_prompts=known,
            instructions=(*examples(), *sentences()),
            dropped=tuple(stored["critique"]["dropped"]),
        )
        again = cheap_checks(proposal, context)
        assert passed(again), again
        names = {one["name"] for one in stored["checks"]}
        assert {one.name for one in again} < names and all(
            one["passed"] for one in stored["checks"]
        )
        assert stored["critique"]["passed"]
        assert stored["proof"]["passed"] and stored["proof"]["name"] == f"proof.{proposal.axis}"
        assert within_bounds(stored["proof"]["numbers"])
    assert ran.accepted()


def within_bounds(numbers: dict[str, Any]) -> bool:
    """Return whether a proof's own numbers bear it out."""
    bounds = re.compile(r"(\w+)_(at_least|at_most|above)$")
    found = [(match, limit) for name, limit in numbers.items() if (match := bounds.match(name))]
    for match, limit in found:
        value = numbers.get(f"{match[1]}_compared", numbers[match[1]])
        good = {"at_least": value >= limit, "at_most": value <= limit, "above": value > limit}
        if not good[match[2]]:
            return False
    return bool(found)


def _plain(sample: Sample) -> dict[str, Any]:
    return sample.as_dict()


def test_nothing_but_accepted_proposals_changes_the_data(ran: Ran) -> None:
    before = {sample.messages for sample in ran.version.values()}
    made = {proposal.messages for proposal, _ in ran.accepted()}
    after = {sample.messages for sample in Version(ran.folder / "rounds/1/dataset")}
    assert after - before == made


def test_no_key_reaches_a_file_a_span_or_the_terminal(ran: Ran) -> None:
    searched = list(texts(ran.folder))
    named = {Path(name.split(" (")[0]).name for name, _ in searched}
    assert {"ledger.db", "traces.db", "index.db", "run.json", "data.jsonl"} <= named
    found = [
        f"{name}: {variable}"
        for name, content in [
            *searched,
            ("spans", ran.spans),
            ("stdout", ran.done.stdout),
            ("stderr", ran.done.stderr),
        ]
        for variable, key in KEYS.items()
        if key.encode() in content
    ]
    assert not found
    # What was given away was there, and was taken out. Which rows are flagged is the model's doing.
    everything = b"".join([*(content for _, content in searched), ran.spans])
    given, taken = (everything.count(mark) for mark in (b"MY_TEACHER=", b"MY_TEACHER=[redacted]"))
    assert given == taken and (taken or ran.samples > SOME + len(rows()))
    assert len(ran.spans) > 10_000


def test_no_instruction_of_middo_reaches_the_data(ran: Ran) -> None:
    told = [turn["content"] for one in ran.proposals() for turn in one["messages"]]
    assert any(parroted(text) for text in told), "no proposal held an instruction"
    exported = (ran.folder / "export" / "data.jsonl").read_text("utf-8")
    turns = [
        turn["content"] for line in exported.splitlines() for turn in json.loads(line)["messages"]
    ]
    turns += [t.content for s in Version(ran.folder / "rounds/1/dataset") for t in s.messages]
    assert [text for text in turns if parroted(text) or CANARY in text] == []
    assert not any("[redacted]" in text for text in turns)


def test_the_data_card_shows_names_as_text(ran: Ran) -> None:
    card = (ran.folder / "export" / "README.md").read_text("utf-8")
    assert steering(card) == []
    told = next(line for line in card.splitlines() if line.startswith("- **From**"))
    assert re.search(r"``[^\n]*ro\ufffd\[31mws\ufffd<b>`=1\.jsonl``: ", told)


def test_the_diagnostician_sees_no_text_of_a_sample(ran: Ran) -> None:
    database = read_database(ran.folder / "ledger.db")
    asked = database.query("SELECT messages, value FROM units WHERE role = 'diagnostician'")
    plans = [(str(messages), str(value)) for messages, value in asked]
    database.close()
    assert plans
    for messages, value in plans:
        assert json.loads(str(value))["rationale"] == "0 orders seen"
        assert "Tell me about" not in str(messages)


def test_no_file_is_named_by_the_data(ran: Ran) -> None:
    names = [path.name for path in ran.folder.rglob("*")]
    assert [name for name in names if not re.fullmatch(r"[\w.-]+", name, re.ASCII)] == []
    assert not list(ran.folder.parent.rglob("*middo-owned*"))
    assert not Path("/tmp/middo-owned").exists()


@pytest.fixture
def printed(ran: Ran, capfd: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    """What was printed by the run and by every command that reads it, as it came."""
    captured = []
    flagged = sorted({one["parent_id"] for one in ran.proposals()})
    wanted: list[tuple[object, ...]] = [
        ("status", ran.folder),
        ("trace", ran.folder),
        ("trace", ran.folder, "--failed"),
        ("review", ran.folder),
        *(("explain", ran.folder, name) for name in flagged),
        *(("trace", ran.folder, "--sample", name) for name in flagged[:8]),
        *(("explain", ran.folder, name) for name in ("\x1b[31mnobody", "../../etc/passwd")),
    ]
    for arguments in wanted:
        carry_out([str(word) for word in arguments], parse)
        captured += list(capfd.readouterr())
        carry_out([*(str(word) for word in arguments), "--json"], parse)
        captured += list(capfd.readouterr())
    yield [ran.done.stdout.decode(), ran.done.stderr.decode(), *captured]


def test_nothing_printed_steers_the_terminal_or_names_a_key(printed: list[str]) -> None:
    assert [found for text in printed if (found := steering(text))] == []
    assert not [key for text in printed for key in KEYS.values() if key in text]
    everything = "".join(printed)
    # There was something to spell out, in the name of the file at least.
    assert "Tell me about" in everything and r"ro\x1b[31mws\u202e<b>" in everything


class Page(HTMLParser):
    """Notes what in a page could run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.active: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in {"iframe", "img", "object", "embed", "base"}:
            self.active.append(tag)
        own = re.fullmatch(r"(?:\.\./)*assets/[\w.-]+\.js", given.get("src") or "")
        if tag == "script" and given.get("type") != "application/json" and not own:
            self.active.append(f"script {given}")
        for name, value in attrs:
            if name.startswith("on") or re.match(r"\s*(?:javascript|data):", value or ""):
                self.active.append(f"{name}={value}")


def test_the_report_shows_hostile_texts_as_text(ran: Ran, tmp_path: Path) -> None:
    to = tmp_path / "report"
    assert carry_out(["report", str(ran.folder), "--to", str(to)], parse) == 0
    pages = sorted(to.rglob("*.html"))
    assert len(pages) > 20
    everything = ""
    for path in pages:
        text = path.read_text("utf-8")
        assert Page(text).active == [], path
        assert steering(text.replace("\t", "")) == [], path
        assert not [key for key in KEYS.values() if key in text]
        everything += text
    assert r"\u202e&lt;b&gt;" in everything and re.search(r"U\+20[0-9A-F]{2}", everything)
    names = [path.name for path in to.rglob("*")]
    assert [name for name in names if not re.fullmatch(r"[\w.-]+", name, re.ASCII)] == []
    with (to / "samples.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    formulas = [c for c in cells if c.lstrip().startswith(("=", "+", "@", "-"))]
    assert [cell for cell in formulas if not re.fullmatch(r"-?[\d.e-]+", cell)] == []
    assert any(cell.startswith("'") for cell in cells)
