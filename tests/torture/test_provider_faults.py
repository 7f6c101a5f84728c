"""A provider that falls ill in the middle of a run, through the real `ChatOpenAI` over loopback.

Each run starts from a folder that stands before `refine` and goes on to the next round's data set.
Held here, by the provider's own log: what was answered whole is never asked again; an illness that
passes leaves the data of a provider that was never ill; one that does not ends the run in one line,
and `resume` then ends with the data of a run that was never stopped. What got lost on the way (a
time-out, a cut body) is asked again: the provider may have served it, the run has nothing of it.
"""

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from middo import resume, run
from middo.core.errors import Interrupted, MiddoError, ProviderError, TooManyFailures
from middo.core.progress import Event, Finished
from middo.graph import refining, teachers
from middo.providers import line
from middo.stores.database import read_database
from middo.stores.facts import Facts
from middo.stores.ledger import Ledger
from middo.stores.runs import read_run
from middo.stores.samples import Version
from tests.loop import config, write_rows
from tests.torture.provider import Asked, Illness, Provider, Script, lasting_mix, passing_mix, well
from tests.torture.tally import RecordProperty, tell

pytestmark = pytest.mark.xdist_group("an ill provider")
TORTURE = pytest.mark.torture
CONCURRENCY = 4
FATES = ("accepted", "rejected", "failed", "deferred")


@dataclass(frozen=True)
class Ward:
    """A provider, a run folder that stands before `refine`, and what comes of it in good health."""

    provider: Provider
    folder: Path
    sha256: str
    served: Counter[str]

    def repeated(self) -> int:
        """Return how many answers were sent whole that a healthy provider was not asked for.

        A second attempt may put the same question again, in a healthy run too.
        """
        return (self.provider.served - self.served).total()


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Ward]:
    home = tmp_path_factory.mktemp("ward")
    provider = Provider()
    thread = provider.start()
    teacher = {"model": "openai:ill-1", "params": {"base_url": provider.url}}
    wanted = config(
        write_rows(home / "rows.jsonl"), tiny_folder, agents={"rewriter": teacher}, rounds=1
    )
    with pytest.raises(Interrupted, match="stopped before refine"):
        run(wanted, home / "run", report=stop_after("diagnose"))
    assert provider.asked == 0
    healthy = home / "healthy"
    shutil.copytree(home / "run", healthy)
    to_next_round(healthy)
    yield Ward(provider, home / "run", sha256(healthy), provider.served)
    provider.stop(thread)


@pytest.fixture
def folder(ward: Ward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to work on; pauses between tries are cut short."""
    monkeypatch.setattr(line, "LONGEST_PAUSE", 0.001)
    shutil.copytree(ward.folder, tmp_path / "run")
    return tmp_path / "run"


def stop_after(node: str) -> Any:
    def report(event: Event) -> None:
        if isinstance(event, Finished) and event.node == node:
            os.kill(os.getpid(), signal.SIGINT)

    return report


def to_next_round(folder: Path) -> None:
    with pytest.raises(Interrupted, match="stopped before train"):
        resume(folder, report=stop_after("merge"))


def sha256(folder: Path) -> str:
    """Return the hash of the next round's data set, once its equations are seen to hold."""
    database = read_database(folder / "ledger.db")
    counts = Facts(database).get("round.0.counts")
    database.close()
    assert counts["rows_in"] == counts["kept"] + counts["replaced"] + counts["dropped"]
    assert counts["rows_out"] == counts["kept"] + counts["replaced"] + counts["added"]
    assert counts["flagged"] == sum(counts[fate] for fate in FATES)
    assert counts["accepted"] == counts["replaced"] + counts["added"] > 0
    return Version(folder / "rounds" / "1" / "dataset").sha256


def failures(folder: Path) -> dict[str, str]:
    """Return the reasons of the samples of the round that failed."""
    database = read_database(folder / "ledger.db")
    fates = Facts(database).get("round.0.fates")
    database.close()
    return {name: reason for name, (fate, reason) in fates.items() if fate == "failed"}


def units(folder: Path) -> list[Any]:
    database = read_database(folder / "ledger.db")
    found = Ledger(database).units()
    database.close()
    return found


def first(count: int, illness: Illness) -> Script:
    """Make each question ill so many times before it is answered."""
    return lambda asked: illness if asked.before < count and not asked.is_probe else "fine"


def after(count: int, illness: Illness) -> Script:
    """Answer so many requests, then fall ill for good."""
    return lambda asked: "fine" if asked.number < count else illness


SAMPLE = {"429 for a moment", "401"}
"""What the default run looks at."""


def cases(rows: list[Any]) -> list[Any]:
    """Return parameters by the name of their illness, those beyond the sample as torture."""
    return [
        pytest.param(*row, id=row[0], marks=() if row[0] in SAMPLE else TORTURE) for row in rows
    ]


PASSES = [
    ("429", 8),
    ("429 for a moment", 3),
    ("429 until no such day", 2),
    ("500", 4),
    ("503", 4),
    ("reset", 4),
    ("cut", 4),
    ("HTML", 4),
    ("empty", 1),
    ("half", 1),
    ("wrong schema", 1),
]


@pytest.mark.parametrize(("illness", "times"), cases(PASSES))
def test_an_illness_that_passes_leaves_the_data_of_a_healthy_provider(
    ward: Ward, folder: Path, illness: str, times: int, record_property: RecordProperty
) -> None:
    ward.provider.begin(first(times, illness))
    to_next_round(folder)
    assert sha256(folder) == ward.sha256
    assert ward.provider.ill[illness] >= times * 10
    assert ward.repeated() == 0
    assert all(unit.status == "answered" for unit in units(folder))
    faults = ward.provider.ill.total() - ward.provider.ill["fine"]
    tell(record_property, "provider faults", runs=1, met=faults, recovered=1, repeated=0)


PATIENCE = {"429": 0.005, "429 until no such day": 0.005, "503": 0.05}
"""Seconds of waiting for rate limits that ask for little or nothing; 600 would all be waited."""

STOPS = [
    ("429", "is down: no answer within 0 s of waiting for its rate limit"),
    ("429 for a day", "is down: .*rate limit"),
    ("429 until no such day", "is down: .*rate limit"),
    ("500", "is down: no answer in 5 tries .*it broke"),
    ("503", "is down: .*overloaded"),
    ("no answer", "is down: no answer in 5 tries .*no reply within 0.5 s"),
    ("reset", "is down: no answer in 5 tries"),
    ("cut", "is down: no answer in 5 tries"),
    ("HTML", "is down: no answer in 5 tries"),
    ("401", "the key was revoked; check key"),
    ("402", "no credit is left; check key"),
    ("quota", "exceeded your current quota; check key"),
]


@pytest.mark.parametrize(("illness", "words"), cases(STOPS))
@pytest.mark.parametrize(
    "answered",
    [9, pytest.param(0, marks=TORTURE), pytest.param(23, marks=TORTURE)],
)
def test_an_illness_that_stays_stops_the_run_and_resume_ends_it_as_if_nothing_had_been(
    ward: Ward,
    folder: Path,
    illness: str,
    words: str,
    answered: int,
    monkeypatch: pytest.MonkeyPatch,
    record_property: RecordProperty,
) -> None:
    monkeypatch.setattr(teachers, "SERVER_TIMEOUT", 0.5)
    monkeypatch.setattr(line, "PATIENCE", PATIENCE.get(illness, 600.0))
    ward.provider.begin(after(answered, illness))
    with pytest.raises(ProviderError, match=words) as stopped:
        resume(folder)
    said = str(stopped.value)
    assert stopped.value.exit_code == 3
    assert said.count("\n") == 0 and len(said) < 600 and "middo resume" in said
    assert read_run(folder)["status"] == "failed"
    assert len(units(folder)) == max(ward.provider.served.total() - 1, 0)  # one asks for the form
    with pytest.raises(MiddoError, match="openai:ill-1"):  # it is still ill
        resume(folder)
    faults = ward.provider.ill.total() - ward.provider.ill["fine"]

    monkeypatch.setattr(teachers, "SERVER_TIMEOUT", 30.0)
    ward.provider.turn(well)
    to_next_round(folder)

    assert sha256(folder) == ward.sha256
    assert ward.repeated() == 0
    assert ward.provider.served == ward.served
    tell(record_property, "provider faults", runs=1, met=faults, resumed=1, repeated=0)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=TORTURE)])
@pytest.mark.parametrize("answered", [9, pytest.param(0, marks=TORTURE)])
def test_a_signal_ends_a_wait_of_ten_minutes_at_once(
    ward: Ward,
    folder: Path,
    number: signal.Signals,
    answered: int,
    record_property: RecordProperty,
) -> None:
    sent: list[float] = []

    def send() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), number)

    def script(asked: Asked) -> Illness:
        if asked.number == answered:
            Timer(0.5, send).start()
        return "fine" if asked.number < answered else "429 for ten minutes"

    ward.provider.begin(script)
    with pytest.raises(Interrupted, match=r"stopped after \d+ refined samples") as end:
        resume(folder)
    assert time.monotonic() - sent[0] < 5.0
    assert end.value.exit_code == 130
    assert read_run(folder)["status"] == "interrupted"
    assert all(unit.status == "answered" for unit in units(folder))
    assert len(units(folder)) == max(ward.provider.served.total() - 1, 0)  # one asks for the form
    met = ward.provider.ill.total() - ward.provider.ill["fine"]
    assert 0 < met <= CONCURRENCY

    ward.provider.turn(well)
    to_next_round(folder)

    assert sha256(folder) == ward.sha256
    assert ward.repeated() == 0
    assert ward.provider.served == ward.served
    tell(record_property, "provider faults", runs=1, met=met, resumed=1, repeated=0)


@pytest.mark.parametrize(
    "illness",
    ["wrong schema", pytest.param("empty", marks=TORTURE), pytest.param("half", marks=TORTURE)],
)
def test_answers_that_stay_of_no_use_stop_the_run_and_are_not_paid_for_again(
    ward: Ward,
    folder: Path,
    illness: str,
    monkeypatch: pytest.MonkeyPatch,
    record_property: RecordProperty,
) -> None:
    monkeypatch.setattr(refining, "FEWEST_SETTLED", 6)
    monkeypatch.setattr(refining, "MOST_FAILED", 0.5)
    ward.provider.begin(after(13, illness))
    with pytest.raises(TooManyFailures, match=r"of \d+ samples failed, the last one: ") as stopped:
        resume(folder)
    assert stopped.value.exit_code == 5
    assert "middo resume" in str(stopped.value) and "\n" not in str(stopped.value)
    assert read_run(folder)["status"] == "failed"
    lost = {unit.sample_id for unit in units(folder) if unit.status == "failed"}
    met = ward.provider.ill[illness]
    assert met <= 2 * len(lost) + CONCURRENCY  # the answer and its repair

    ward.provider.turn(well)
    to_next_round(folder)

    assert sha256(folder)  # the equations hold
    assert failures(folder).keys() == lost
    assert ward.repeated() == 0
    assert {unit.sample_id for unit in units(folder) if unit.status == "failed"} == lost
    tell(record_property, "provider faults", runs=1, met=met, resumed=1, repeated=0)


@TORTURE
@pytest.mark.parametrize("illness", ["10 MB", "10 MB of openings"])
def test_an_answer_of_ten_megabytes_loses_its_sample_alone(
    ward: Ward, folder: Path, illness: str, record_property: RecordProperty
) -> None:
    ward.provider.begin(lambda asked: illness if asked.number == 9 else "fine")
    to_next_round(folder)
    assert sha256(folder)
    (reason,) = failures(folder).values()
    assert "characters, at most 1,000,000 are read" in reason
    assert ward.repeated() == 0
    assert (folder / "ledger.db").stat().st_size < 3_000_000
    tell(record_property, "provider faults", runs=1, met=1, samples_failed=1, repeated=0)


def mixed_and_passing(ward: Ward, folder: Path, seed: int, record_property: RecordProperty) -> None:
    ward.provider.begin(passing_mix(seed))
    to_next_round(folder)
    assert sha256(folder) == ward.sha256
    assert ward.repeated() == 0
    met = ward.provider.ill.total() - ward.provider.ill["fine"]
    assert met >= 5
    tell(record_property, "provider faults", runs=1, met=met, recovered=1, repeated=0)


def mixed_and_lasting(ward: Ward, folder: Path, seed: int, record_property: RecordProperty) -> None:
    ward.provider.begin(lasting_mix(seed))
    to_next_round(folder)
    assert sha256(folder)
    lost = failures(folder)
    assert all(len(reason) > 20 for reason in lost.values())
    assert {unit.sample_id for unit in units(folder) if unit.status == "failed"} == lost.keys()
    met = ward.provider.ill.total() - ward.provider.ill["fine"]
    tell(record_property, "provider faults", runs=1, met=met, samples_failed=len(lost))


@TORTURE
def test_thirty_percent_of_passing_faults_leave_the_data_of_a_healthy_provider(
    ward: Ward, folder: Path, torture_seed: int, record_property: RecordProperty
) -> None:
    mixed_and_passing(ward, folder, torture_seed, record_property)


def test_thirty_percent_of_all_faults_are_balanced_and_each_lost_sample_has_its_reason(
    ward: Ward,
    folder: Path,
    torture_seed: int,
    monkeypatch: pytest.MonkeyPatch,
    record_property: RecordProperty,
) -> None:
    monkeypatch.setattr(teachers, "SERVER_TIMEOUT", 1.0)
    mixed_and_lasting(ward, folder, torture_seed, record_property)


def go_on(folder: Path) -> None:
    """Work in a process that will be killed."""
    line.LONGEST_PAUSE = 0.001
    resume(folder)


@TORTURE
@pytest.mark.timeout(600)
def test_kills_in_the_middle_of_a_storm_repeat_no_more_than_what_was_under_way(
    ward: Ward, folder: Path, torture_seed: int, record_property: RecordProperty
) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["middo.graph.build", "torch", "peft"])
    draw = random.Random(torture_seed)
    ward.provider.begin(well)
    kills = 4
    for _ in range(kills):
        process = processes.Process(target=go_on, args=(folder,))
        process.start()
        last = ward.provider.asked + draw.randrange(4, 16)
        weather = passing_mix(draw.randrange(10**6), 0.5)

        def storm(asked: Asked, pid: int | None = process.pid, last: int = last) -> Illness:
            if asked.number >= last and pid is not None:
                os.kill(pid, signal.SIGKILL)
            return weather(asked)  # noqa: B023  # the process is dead before the next one

        ward.provider.turn(storm)
        process.join(200)
        assert process.exitcode == -signal.SIGKILL
        assert read_run(folder)["status"] == "interrupted"
    ward.provider.turn(well)
    to_next_round(folder)
    assert sha256(folder) == ward.sha256
    assert ward.repeated() <= kills * CONCURRENCY
    told = {"kills": kills, "survived": kills, "repeated": ward.repeated()}
    tell(record_property, "kills in a provider's storm", **told)


@TORTURE
@pytest.mark.timeout(600)
@pytest.mark.parametrize("nth", range(1, 7))
def test_many_mixtures_of_faults(
    ward: Ward,
    folder: Path,
    torture_seed: int,
    nth: int,
    monkeypatch: pytest.MonkeyPatch,
    record_property: RecordProperty,
) -> None:
    monkeypatch.setattr(teachers, "SERVER_TIMEOUT", 1.0)
    begin = mixed_and_passing if nth % 2 else mixed_and_lasting
    begin(ward, folder, torture_seed * 1_000 + nth, record_property)
