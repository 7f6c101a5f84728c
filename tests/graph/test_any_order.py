"""Whatever comes in whatever order, the books balance and nothing is lost, asked or decided twice.

A state machine over a real run folder: samples are flagged, asked about, settled, reviewed and
merged in any order, the process is killed in between, rounds follow on each other or are rolled
back. Being killed is to go on from a copy of the folder, taken while everything was open.
"""

import asyncio
import json
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from langchain_core.messages import BaseMessage
from numpy.typing import NDArray
from pydantic import BaseModel

from middo.core.chat import AnswerFailed, Prompt
from middo.core.config import RunConfig
from middo.core.records import Axis, Fate, Sample, row_hash
from middo.curation.merge import Counts, assert_balanced
from middo.graph.deps import Deps, open_run
from middo.graph.merging import merge_round
from middo.graph.preparing import prepare
from middo.graph.sources import Case
from middo.graph.state import LoopState
from middo.providers.scripted import ScriptedChat
from middo.stores.ledger import Outcome
from middo.stores.reviews import Decision, Word

from ..fuzzing import folder, many
from ..torture.tally import RecordProperty, tell
from .scripts import FACTORY, SCRIPTS

SEEN: Counter[str] = Counter()
ENDS = ("accepted", "rejected", "failed")
STALE = LoopState(round=0, source_round=0, stop="")


class Answered(BaseModel):
    text: str


def vectors(texts: list[str]) -> NDArray[np.float32]:
    """Return unit vectors that are the same for texts that end alike."""
    kinds = np.array([hash_of(text) % 5 for text in texts])
    unit: NDArray[np.float32] = np.eye(5, dtype=np.float32)[kinds]
    return unit


def hash_of(text: str) -> int:
    return sum(text.encode("utf-8"))


class Loop(RuleBasedStateMachine):
    """Rounds of one run."""

    def __init__(self) -> None:
        super().__init__()
        self.home = folder()
        self.loop = asyncio.new_event_loop()
        self.lives = 0
        self.number = self.source = 0
        self.flagged: dict[str, Axis] = {}
        self.settled: dict[str, Outcome] = {}
        self.words: dict[str, Word] = {}
        self.asked: Counter[str] = Counter()
        self.allowed: Counter[str] = Counter()
        self.answers: dict[str, str | None] = {}
        self.copy_when_asked = False
        self.hashes: dict[int, str] = {}
        SCRIPTS["any order"] = ScriptedChat(answer=self._answer)

    def teardown(self) -> None:
        if hasattr(self, "deps"):
            self.deps.close()
        self.loop.close()
        self.home.cleanup()

    @initialize(
        rows=st.integers(14, 18),
        distinct=st.integers(10, 18),  # a quarter is held out, copies together: 8 are left
        bad=st.integers(0, 3),
        limit=st.none() | st.integers(12, 14),
        share=st.sampled_from([0.0, 0.2, 0.5]),
    )
    def start(self, rows: int, distinct: int, bad: int, limit: int | None, share: float) -> None:
        data = Path(self.home.name, "rows.jsonl")
        lines = [
            {"prompt": f"question {n % distinct}", "completion": "answer"} for n in range(rows)
        ]
        broken = [{"prompt": f"question {n}", "completion": ""} for n in range(bad)]
        text = "".join(json.dumps(line) + "\n" for line in [*lines, *broken])
        data.write_text(text, encoding="utf-8")
        agents = {"rewriter": {"model": FACTORY, "params": {"name": "any order"}}}
        self.config = RunConfig.model_validate(
            {
                "data": {"path": str(data), "limit": limit, "max_quarantined": 0.5},
                "agents": agents,
                "refinement": {"added_share": share},
            }
        )
        self.folder = Path(self.home.name, "life-0")
        self._open()
        prepare(self.deps, STALE)
        told = self.deps.facts.get("data")
        assert told["imported"] == rows + bad
        gone = told["holdout"] + told["quarantined"] + told["not_selected"]
        assert told["imported"] == self.deps.version(0).rows + gone
        assert told["quarantined"] == bad
        self._remember(0)

    # --- what happens to a flagged sample ---

    @rule(data=st.data())
    def flag(self, data: st.DataObject) -> None:
        """Flag a sample that isn't yet; a few are deferred at once, as beyond the budget."""
        left = [name for name in self.rows() if name not in self.flagged]
        if not left:
            return
        name = data.draw(st.sampled_from(left))
        self.flagged[name] = data.draw(st.sampled_from(list(Axis)))
        if data.draw(st.integers(0, 3)) == 0:
            deferred = Outcome(self.number, name, self.flagged[name], "deferred", "beyond", [])
            self.deps.ledger.add_outcomes([deferred])
            self.settled.setdefault(name, deferred)

    @precondition(lambda self: self.flagged)
    @rule(data=st.data(), attempt=st.integers(1, 2), killed=st.booleans())
    def ask(self, data: st.DataObject, attempt: int, killed: bool) -> None:
        """Ask about a sample, maybe again, maybe killed before the answer is kept."""
        name = data.draw(st.sampled_from(sorted(self.flagged)))
        prompt = Prompt("p", 1, "f" * 64, (("user", f"{self.number} {name} {attempt}"),))
        text = prompt.messages[0][1]
        known = text in self.answers
        if not known:
            self.allowed[text] += 1
        self.copy_when_asked = killed and not known
        case = Case("rewriter", self.number, name, (self.flagged[name],))
        chat = self.deps.chats.chat(case)
        try:
            answer = self.loop.run_until_complete(chat(prompt, Answered, attempt=attempt))
            heard: str | None = answer.text
        except AnswerFailed:
            heard = None
        if self.copy_when_asked:
            self.copy_when_asked = False
            SEEN["lost in flight"] += 1
            self._go_on_from_copy()
            return
        assert self.answers.setdefault(text, heard) == heard
        SEEN["answered from the ledger" if known else "answered"] += 1

    @precondition(lambda self: self.flagged)
    @rule(
        data=st.data(),
        fate=st.sampled_from(["accepted", "accepted", *ENDS]),
        text=st.sampled_from(["fresh", "same", "question 1", "question 2"]),
        once=st.booleans(),
    )
    def settle(self, data: st.DataObject, fate: Fate, text: str, once: bool) -> None:
        """Settle a sample; one that is settled already keeps its outcome."""
        open_ones = [name for name in sorted(self.flagged) if name not in self.settled]
        name = data.draw(st.sampled_from(open_ones if open_ones and once else sorted(self.flagged)))
        outcome = self._outcome(name, fate, f"{text} {name}" if text == "fresh" else text)
        self.loop.run_until_complete(self.deps.ledger.add_outcome(outcome))
        SEEN["settled twice" if name in self.settled else fate] += 1
        self.settled.setdefault(name, outcome)

    @precondition(lambda self: any(one.fate == "accepted" for one in self.settled.values()))
    @rule(data=st.data(), decision=st.sampled_from(["edit", "edit", "accept", "reject"]))
    def review(self, data: st.DataObject, decision: Decision) -> None:
        """Say a word on an accepted proposal; the last one counts."""
        names = sorted(name for name, one in self.settled.items() if one.fate == "accepted")
        name = data.draw(st.sampled_from(names))
        edited = decision == "edit"
        word = Word(
            self.number,
            name,
            self.settled[name].proposals[-1]["id"],
            decision,
            f"edited {name}" if edited else None,
            "by hand" if edited else None,
            "",
            "somebody",
            0.0,
        )
        self.deps.reviews.add([word])
        self.words[name] = word
        SEEN[f"word: {decision}"] += 1

    # --- what happens to the run ---

    @rule()
    def kill(self) -> None:
        """Go on from what the disk holds."""
        self._copy()
        self._go_on_from_copy()

    @precondition(lambda self: self.flagged)
    @rule(
        back=st.booleans(), again=st.booleans(), seed=st.integers(0, 9), later=st.sampled_from(ENDS)
    )
    def merge(self, back: bool, again: bool, seed: int, later: Fate) -> None:
        """Settle what is left and merge; the next round starts there or from an earlier one."""
        for name in sorted(self.flagged.keys() - self.settled.keys()):
            self.settled[name] = self._outcome(name, later, f"fresh {name}")
            self.loop.run_until_complete(self.deps.ledger.add_outcome(self.settled[name]))
        other = self._in_another_order(seed)
        state = LoopState(round=self.number, source_round=self.source, stop="")
        update, _ = merge_round(self.deps, state)
        if again:
            merge_round(self.deps, state)
        assert update == {"round": self.number + 1, "source_round": self.number + 1}
        self._check_merge()
        assert self.deps.version(self.number + 1).sha256 == other
        self.number += 1
        self._remember(self.number)
        self.source = seed % self.number if back else self.number
        SEEN["rolled back" if back else "went on"] += 1
        self.flagged, self.settled, self.words = {}, {}, {}

    @invariant()
    def nothing_settled_changes(self) -> None:
        if not hasattr(self, "deps"):
            return
        kept = {one.sample_id: one for one in self.deps.ledger.outcomes(self.number)}
        assert kept == self.settled
        tally = self.deps.reviews.tally(self.number)
        accepted = [name for name, one in kept.items() if one.fate == "accepted"]
        assert (tally.asked, tally.undecided) == (
            len(accepted),
            len([name for name in accepted if name not in self.words]),
        )

    @invariant()
    def nothing_answered_is_asked_again(self) -> None:
        assert self.asked == self.allowed

    @invariant()
    def versions_stay_as_they_were(self) -> None:
        if hasattr(self, "deps"):
            assert {k: self.deps.version(k).sha256 for k in self.hashes} == self.hashes

    # --- means ---

    def rows(self) -> list[str]:
        return self.deps.version(self.source).ids()

    def _open(self) -> None:
        self.deps: Deps = open_run(self.folder, self.config)
        self.deps.__dict__["embedder"] = vectors

    def _remember(self, number: int) -> None:
        self.deps.version(number).verify()
        self.hashes[number] = self.deps.version(number).sha256

    def _answer(self, messages: Sequence[BaseMessage], _: dict[str, Any] | None) -> Any:
        text = str(messages[0].text)
        if len(messages) > 1:
            return "no JSON again"  # the repair turn of one that fails
        self.asked[text] += 1
        if self.copy_when_asked:
            self._copy()
        return "no JSON" if hash_of(text) % 4 == 0 else {"text": f"{text} {self.asked[text]}"}

    def _copy(self) -> None:
        self.lives += 1
        to = Path(self.home.name, f"life-{self.lives}")
        shutil.copytree(self.folder, to, ignore=shutil.ignore_patterns("*-shm", "index.db*"))

    def _go_on_from_copy(self) -> None:
        self.deps.close()
        self.folder = Path(self.home.name, f"life-{self.lives}")
        self._open()

    def _outcome(self, name: str, fate: Fate, text: str) -> Outcome:
        axis = self.flagged[name]
        parent = self.deps.version(self.source).take([name])[name]
        messages = [one.as_dict() for one in parent.with_exchange(text, "answer")]
        row = {"id": f"p{name}", "parent_id": name, "axis": str(axis), "attempt": 1}
        row |= {"messages": messages, "checks": [], "critique": None, "proof": None}
        row |= {"verdict": fate, "reason": "", "adds": axis is Axis.DIVERSITY}
        proposals = [] if fate == "failed" else [row]
        return Outcome(self.number, name, axis, fate, "", cast(list[dict[str, Any]], proposals))

    def _in_another_order(self, seed: int) -> str:
        """Return the hash that the same events give in another order, in a folder of its own."""
        to = Path(self.home.name, f"other-{self.lives}-{self.number}")
        shutil.copytree(self.folder, to, ignore=shutil.ignore_patterns("*.db*"))
        deps = open_run(to, self.config)
        deps.__dict__["embedder"] = vectors
        outcomes = list(self.settled.values())
        random.Random(seed).shuffle(outcomes)
        for outcome in outcomes:
            self.loop.run_until_complete(deps.ledger.add_outcome(outcome))
        words = list(self.words.values())
        random.Random(seed).shuffle(words)
        deps.reviews.add(words)
        merge_round(deps, LoopState(round=self.number, source_round=self.source, stop=""))
        sha256 = deps.version(self.number + 1).sha256
        deps.close()
        return sha256

    def _check_merge(self) -> None:
        before, after = (
            list(self.deps.version(self.source)),
            list(self.deps.version(self.number + 1)),
        )
        counts = Counts(**self.deps.facts.get(f"round.{self.number}.counts"))
        fates = self.deps.facts.get(f"round.{self.number}.fates")
        assert_balanced(counts)
        assert (counts.rows_in, counts.rows_out) == (len(before), len(after))
        assert counts.flagged == len(self.flagged) and fates.keys() == self.flagged.keys()
        assert counts.added <= self.config.refinement.added_share * len(before)
        ends = Counter(fate for fate, _ in fates.values())
        assert (counts.accepted, counts.rejected) == (ends["accepted"], ends["rejected"])
        assert (counts.failed, counts.deferred) == (ends["failed"], ends["deferred"])
        contents = Counter(sample.messages for sample in after)
        for old, new in zip(before, after, strict=False):
            accepted = fates.get(old.id, ("", ""))[0] == "accepted"
            if accepted and self.flagged[old.id] is not Axis.DIVERSITY:
                self._check_row(old, new, "rewritten")
                assert contents[new.messages] == 1
            else:
                assert row_hash(new) == row_hash(old)
        by_id = {sample.id: sample for sample in before}
        news = after[len(before) :]
        parents = [new.parent_id for new in news]
        assert parents == sorted(parents, key=str) and len(set(parents)) == len(parents)
        for new in news:
            self._check_row(by_id[str(new.parent_id)], new, "added")
            assert contents[new.messages] == 1
        for kind in ("replaced", "added"):
            SEEN[kind] += getattr(counts, kind)
        SEEN["deferred"] += counts.deferred
        SEEN["refused by merging"] += sum(
            fate != "accepted" and self.settled[name].fate == "accepted"
            for name, (fate, _) in fates.items()
        )

    def _check_row(self, old: Sample, new: Sample, origin: str) -> None:
        assert (new.parent_id, new.origin, new.round) == (old.id, origin, self.number)
        word = self.words.get(old.id)
        assert word is None or word.decision != "reject"
        if word is not None and word.decision == "edit":
            assert (new.prompt, new.answer) == (word.prompt, word.answer)
            SEEN["edited"] += 1


@pytest.mark.fuzz
@pytest.mark.timeout(600)
def test_any_order_of_events_keeps_the_books(record_property: RecordProperty) -> None:
    SEEN.clear()
    budget = many(few=20, torture=100)
    phases = [Phase.explicit, Phase.generate]  # a history of events is hardly made shorter
    run_state_machine_as_test(
        Loop, settings=settings(budget, stateful_step_count=40, phases=phases)
    )
    SCRIPTS.clear()
    wanted = {"replaced", "added", "edited", "deferred", "rejected", "failed", "settled twice"}
    wanted |= {"answered from the ledger", "lost in flight", "refused by merging", "rolled back"}
    missing = wanted - {name for name, count in SEEN.items() if count}
    # Few histories don't meet everything; the many of `make torture` do.
    assert len(missing) <= (3 if budget.max_examples == 20 else 0), (missing, dict(SEEN))
    tell(record_property, "inputs fuzzed", inputs=budget.max_examples)
    tell(record_property, "events of the ledger in any order", events=sum(SEEN.values()))
