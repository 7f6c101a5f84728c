"""The benchmark of the gates, with gates whose verdicts are known and with a real small run."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import BaseMessage

from benchmarks.asking import Asked
from benchmarks.critic import main, summed
from benchmarks.critic_tables import report
from benchmarks.damage import REFUSALS
from benchmarks.gate_cases import UNTOLD, Case, read_cases
from benchmarks.gates import Gates
from middo.agents.critic import Critic
from middo.core.records import Axis, Message, Verdict
from middo.providers.line import Line
from middo.providers.scripted import Scripted, ScriptedChat
from tests.benchmarks.damaging import pairs, write_disfluent, write_pairs


def embed(texts: list[str]) -> Any:
    """Embed by the words' first letters: equal texts alike, others less."""
    vectors = np.array([[1.0 + t.lower().count(c) for c in "abcdefghij"] for t in texts])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def write_solutions(path: Path) -> Path:
    lines = [
        {
            "uuid": str(n),
            "question": f"How many apples do {n} people buy, if each buys 2?",
            "ground_truth_solution": f"Each of them buys 2 apples.\nThey buy {n}*2={2 * n}.\n"
            f"#### {2 * n}",
            "model_output_steps": [f"Step 1: They buy {n}+2={n + 2} apples.", f"#### {n + 2}"],
        }
        for n in range(3, 9)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def write_experts(path: Path) -> Path:
    lines = [
        {
            "id": one.id,
            "instruction": one.prompt,
            "input": "",
            "reference": one.answer,
        }
        for one in pairs()[:12]
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return [
        str(write_solutions(tmp_path / "solutions.jsonl")),
        str(write_experts(tmp_path / "experts.jsonl")),
        str(write_disfluent(tmp_path / "asked.json")),
    ]


def critic(word: str) -> Critic:
    """Return a critic that finds fault with a new example in which a word stands."""

    def answer(messages: Sequence[BaseMessage], schema: dict[str, Any] | None) -> Scripted:
        new = messages[-1].text.partition("New prompt:")[2]
        bad = word in new
        verdict = "reject" if bad else "accept"
        return {"problems": ["wrong"] * bad, "dropped": [], "feedback": "", "verdict": verdict}

    return Critic(Asked(Line(ScriptedChat(answer=answer), name="scripted")))


def test_each_parent_has_a_sound_and_a_bad_proposal(files: list[str]) -> None:
    cases = read_cases(files, None, 7)
    assert len(cases) == 2 * (6 + 12 + 3)
    by_id = {case.id: case for case in cases}
    assert len(by_id) == len(cases)
    sound, bad = by_id["mr_gsm8k 3 sound"], by_id["mr_gsm8k 3 bad"]
    assert sound.sample == bad.sample
    assert sound.sample.answer == "Each of them buys 2 apples.\nThey buy 4*2=8.\n#### 8"
    assert sound.proposal.answer.endswith("#### 6")
    assert bad.proposal.answer == "They buy 3+2=5 apples.\n#### 5"
    assert by_id["disfl_qa 0 sound"].proposal.prompt == "What was the old town's first name?"
    other = by_id["disfl_qa 0 bad"]
    assert other.proposal.axis is Axis.COMPLEXITY and not other.provable
    assert other.proposal.prompt != "What was the old town's first name?"
    assert other.proposal.answer == UNTOLD
    kinds = {case.kind for case in cases if case.data == "self_instruct"}
    # The most similar row's answer is here the one that the parent has, so it is no damage.
    assert kinds == {"", "other", "sentence", "run-on", "name", "refusal"}
    assert len(read_cases(files, 2, 7)) == 12
    assert read_cases(files, 2, 7) == read_cases(files, 2, 7)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is none of"):
        arguments = ["--data", str(write_pairs(tmp_path / "rows.jsonl")), "--model", "none"]
        main([*arguments, "--out", str(tmp_path / "out.jsonl")], embed)


async def test_gates_are_asked_by_themselves_and_as_a_chain(files: list[str]) -> None:
    async def prove(case: Case) -> Verdict:
        return Verdict("proof.quality", "#### 6" not in case.proposal.answer, {}, "too easy")

    cases = {case.id: case for case in read_cases(files, None, 7)}
    question_3 = cases["mr_gsm8k 3 sound"].proposal.prompt
    gates = Gates(embed, critic("#### 5"), prove)
    sound = await gates.judge(cases["mr_gsm8k 3 sound"])
    assert all(sound["checks"].values()) and sound["critic"]["passed"]
    assert sound["proof"] == {"passed": False, "reason": "too easy"}
    assert sound["chain"] == {"passed": False, "by": "proof.quality"}
    bad = await gates.judge(cases["mr_gsm8k 3 bad"])
    assert bad["critic"] == {"passed": False, "said": "reject", "problems": ["wrong"]}
    assert bad["proof"]["passed"] and bad["chain"] == {"passed": False, "by": "critic"}
    good = await gates.judge(cases["mr_gsm8k 4 sound"])
    assert good["chain"] == {"passed": True, "by": ""}
    refusal = replace(
        cases["mr_gsm8k 3 bad"].proposal,
        messages=(Message("user", question_3), Message("assistant", REFUSALS[0])),
    )
    refused = await Gates(embed, None, None).judge(
        replace(cases["mr_gsm8k 3 bad"], proposal=refusal)
    )
    assert not refused["checks"]["refusal"] and refused["critic"] is refused["proof"] is None
    assert refused["chain"] == {"passed": False, "by": "refusal"}
    question = await gates.judge(cases["disfl_qa 1 sound"])
    assert question["proof"] is None and "similarity" in question["checks"]


async def test_a_critic_without_an_answer_refuses(files: list[str]) -> None:
    silent = Critic(Asked(Line(ScriptedChat(replies=["?"] * 40), name="scripted")))
    found = await Gates(embed, silent, None).judge(read_cases(files, 1, 7)[0])
    assert found["critic"]["said"] == "failed" and not found["chain"]["passed"]


def line(side: str, kind: str, critic: bool, check: bool, **more: Any) -> dict[str, Any]:
    return {
        "data": "mr_gsm8k",
        "side": side,
        "kind": kind,
        "checks": {"numbers": check, "length": True},
        "critic": {"passed": critic, "said": "accept" if critic else "failed"},
        "proof": None,
        "chain": {"passed": critic and check},
        "seconds": 1.0,
        **more,
    }


def test_shares_are_told_with_intervals_by_gate_and_kind() -> None:
    lines = [line("sound", "", True, n < 9) for n in range(10)]
    lines += [line("bad", "wrong solution", n < 2, True) for n in range(10)]
    found = summed(lines)
    sound, bad = found["groups"]
    assert sound["gates"]["critic"] == {"asked": 10, "accepted": 10, "low": 0.7225, "high": 1.0}
    assert sound["checks"]["numbers"]["accepted"] == 9 and sound["gates"]["proof"]["asked"] == 0
    assert bad["side"] == "bad" and bad["gates"]["chain"]["accepted"] == 2
    assert bad["critic_without_answer"] == 8 and found["seconds"] == 20
    text = report({**found, "model": "none", "proof": None, "seed": 7})
    assert "2 of 10 (0.06–0.51)" in text and "nothing was proved" in text
    assert "proof " not in text
    assert "numbers" in text and "length" not in text
    assert "8 times the critic gave no usable answer" in text


def test_other_lower_bounds_are_counted_where_prompts_differ() -> None:
    lines = [line("sound", "", True, True, cosine=cosine) for cosine in (0.44, 0.45, 0.9, None)]
    found = summed(lines)
    (group,) = found["groups"]
    counted = {low: (one["accepted"], one["asked"]) for low, one in group["bounds"].items()}
    assert (counted["0.40"], counted["0.45"], counted["0.80"]) == ((3, 3), (2, 3), (1, 3))
    text = report({**found, "model": "none", "proof": None, "seed": 7})
    assert "with other lower bounds" in text and "2 of 3" in text


def test_reasons_of_refused_proofs_are_counted_each() -> None:
    said = [(False, "too easy; not sounder"), (False, "not sounder"), (True, "")]
    lines = [line("bad", "name", True, True, proof={"passed": p, "reason": r}) for p, r in said]
    found = summed(lines)
    assert found["groups"][0]["proof_reasons"] == {"not sounder": 2, "too easy": 1}
    text = report({**found, "model": "none", "proof": "x", "seed": 7})
    assert "the proof refuses because" in text and "not sounder" in text


def test_finished_cases_are_not_judged_again(
    tmp_path: Path, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cases.jsonl"
    arguments = ["--data", *files, "--model", "none", "--out", str(out), "--json"]
    assert main([*arguments, str(tmp_path / "a.json"), "--limit", "1"], embed) == 0
    assert len(out.read_text(encoding="utf-8").splitlines()) == 6
    lines = [json.loads(one) for one in out.read_text(encoding="utf-8").splitlines()]
    slow = [json.dumps({**one, "seconds": 1000.0}) + "\n" for one in lines[:5]]
    out.write_text("".join(slow) + '{"cut', encoding="utf-8")
    calls: list[list[str]] = []

    def noted(texts: list[str]) -> Any:
        calls.append(texts)
        return embed(texts)

    assert main([*arguments, str(tmp_path / "b.json"), "--limit", "1"], noted) == 0
    assert len(out.read_text(encoding="utf-8").splitlines()) == 6
    assert 0 < len(calls) <= 4  # one case: its checks, by themselves and in the chain
    document = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert sum(one["cases"] for one in document["groups"]) == 6
    assert 5000 <= document["seconds"] < 6000
    with pytest.raises(SystemExit, match="of another model, run or seed"):
        main([*arguments, str(tmp_path / "c.json"), "--seed", "8"], embed)


def test_a_run_that_was_diagnosed_proves(
    tmp_path: Path, files: list[str], detected: argparse.Namespace
) -> None:
    out = tmp_path / "cases.jsonl"
    arguments = ["--data", *files, "--model", "none", "--run", str(detected.out / "run")]
    assert main([*arguments, "--out", str(out), "--limit", "2"], embed) == 0
    lines = [json.loads(one) for one in out.read_text(encoding="utf-8").splitlines()]
    proofs = [one["proof"] for one in lines]
    assert [proof is None for proof in proofs] == [one["data"] == "disfl_qa" for one in lines]
    assert all(proof["passed"] or proof["reason"] for proof in proofs if proof)
    with pytest.raises(SystemExit, match="has no diagnosis of round 0"):
        main([*arguments[:-1], str(tmp_path / "none"), "--out", str(tmp_path / "x.jsonl")], embed)
