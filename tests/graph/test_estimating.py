"""An estimate, held against what a scripted run then uses."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from middo import run
from middo.core.config import RunConfig
from middo.graph.estimating import estimate
from middo.providers.scripted import ScriptedChat
from middo.training.sources import load_tokenizer
from tests.graph.scripts import FACTORY, SCRIPTS
from tests.loop import PLACES, TOPICS, config, easy_answer, teacher

pytestmark = pytest.mark.xdist_group("an estimate")

SHARE = 1 / 6


def pair(number: int) -> tuple[str, str]:
    """One of 108 pairs of topic and place."""
    return TOPICS[number % 18], (*PLACES, "a wide valley", "the old harbour")[number // 18]


def hard_answer(topic: str, place: str) -> str:
    """The easy answer backwards: as long, and surprising at every word."""
    return " ".join(reversed(easy_answer(topic, place).split()))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """108 rows, of which every sixth has an answer that is much harder than the others."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    lines = []
    for number in range(108):
        topic, place = pair(number)
        is_hard = (number + number // 18) % 6 == 5
        answer = (hard_answer if is_hard else easy_answer)(topic, place)
        row = {"instruction": f"Tell me about {topic} in {place}.", "output": answer}
        lines.append(json.dumps(row) + "\n")
    path.write_text("".join(lines), encoding="utf-8")
    held = [
        {"instruction": f"Tell me about {topic} in {place}.", "output": easy_answer(topic, place)}
        for topic in ("candles", "mirrors", "bridges", "baskets", "ladders")
        for place in PLACES
    ]
    text = "".join(json.dumps(row) + "\n" for row in held)
    path.with_name("held.jsonl").write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def taught(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model after some lessons in easy answers, so that the hard ones surprise it."""
    import torch
    from transformers import AutoModelForCausalLM

    from middo.core.records import Message
    from middo.training.tokens import Tokens

    torch.manual_seed(0)
    tokenizer = load_tokenizer(tiny_folder)
    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    encoder = Tokens(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for number in range(108):
        topic, place = pair(number * 7 % 108)
        asked = Message("user", f"Tell me about {topic} in {place}.")
        encoded = encoder.encode((asked, Message("assistant", easy_answer(topic, place))))
        ids, labels = torch.tensor([encoded.input_ids]), torch.tensor([encoded.labels])
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    folder = tmp_path_factory.mktemp("models") / "taught"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def counted(taught: Path) -> Iterator[Callable[[bool], str]]:
    """Put a teacher into place whose usage is in the trainee's tokens; return its name."""
    tokenizer = load_tokenizer(taught)
    script = teacher().answer
    assert script is not None

    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    def willing(messages: Sequence[BaseMessage], schema: dict[str, Any] | None) -> Any:
        told: Any = script(messages, schema)
        # Word by word what the model knows is too easy to be taken; what is refused gets easier.
        if "answer" in told and "An earlier try was refused" not in messages[-1].text:
            told["answer"] = told["answer"].replace("like to", "love to")
        return told

    def refusing(messages: Sequence[BaseMessage], schema: dict[str, Any] | None) -> Any:
        if "verdict" in (schema or {}).get("properties", {}):
            problem = "The answer says less of the subject than what the prompt has asked for."
            return {"problems": [problem], "dropped": [], "feedback": problem, "verdict": "revise"}
        return willing(messages, schema)

    def place(accepts: bool) -> str:
        SCRIPTS["counted"] = ScriptedChat(answer=willing if accepts else refusing, count=count)
        return "counted"

    yield place
    SCRIPTS.pop("counted", None)


def configured(rows: Path, model: Path, **changes: Any) -> RunConfig:
    plain = {
        "training": {"epochs": 1, "learning_rate": 1e-3, "batch_tokens": 512},
        "signals": {"axes": ["complexity"], "share": SHARE, "calibration": 0},
        "agents": {"rewriter": {"model": FACTORY, "params": {"name": "counted"}}},
        "refinement": {"attempts": 3, "concurrency": 4},
        # Other topics: a proposal may not repeat what is evaluated on.
        "evaluation": {"data": str(rows.with_name("held.jsonl"))},
        "rounds": 1,
    }
    return config(rows, model, **{**plain, **changes})


@pytest.fixture(scope="module")
def estimated(rows: Path, taught: Path) -> dict[str, Any]:
    return estimate(configured(rows, taught))


@pytest.mark.parametrize("accepts", [True, False])
def test_a_run_uses_what_its_end_of_the_range_said(
    rows: Path,
    taught: Path,
    counted: Callable[[bool], str],
    estimated: dict[str, Any],
    tmp_path: Path,
    accepts: bool,
) -> None:
    counted(accepts)
    document = run(configured(rows, taught), tmp_path / "run")
    first, spent = document["rounds"][0], document["tokens"]
    course = "low" if accepts else "high"
    assert first["accepted" if accepts else "rejected"] >= 0.8 * first["flagged"]["samples"] > 0
    roles = estimated["roles"].values()
    used = {
        "flagged": (estimated["flagged"][0]["samples"], first["flagged"]["samples"]),
        "calls": (sum(role["calls"][course] for role in roles), spent["calls"]),
        "prompt": (sum(role["prompt_tokens"][course] for role in roles), spent["prompt"]),
        "completion": (
            sum(role["completion_tokens"][course] for role in roles),
            spent["completion"],
        ),
    }
    for name, (expected, real) in used.items():
        assert expected == pytest.approx(real, rel=0.25), (name, used)
    assert estimated["rows"]["train"] == first["dataset"]["rows"]
    assert estimated["rows"]["holdout"] == document["holdout"] == 0
    assert estimated["steps"] == first["training"]["steps"]
    models = sum(f.stat().st_size for f in (tmp_path / "run").rglob("*.safetensors"))
    assert estimated["disk_bytes"]["models"] == pytest.approx(models, rel=0.1)


def test_the_courses_rise_and_time_was_measured(estimated: dict[str, Any]) -> None:
    for role in estimated["roles"].values():
        for kind in ("calls", "prompt_tokens", "completion_tokens"):
            low, middle, high = (role[kind][course] for course in ("low", "middle", "high"))
            assert 0 < low < middle < high
    seconds = estimated["seconds"]
    assert estimated["machine"]["steps_timed"] >= 1
    assert seconds["training"] > 2 * estimated["machine"]["step_seconds"] * estimated["steps"]
    assert 0 < seconds["total"]["low"] < seconds["total"]["high"]
    parts = {k: v for k, v in estimated["disk_bytes"].items() if k not in ("finished", "peak")}
    assert estimated["disk_bytes"]["finished"] == pytest.approx(sum(parts.values()))
    assert estimated["disk_bytes"]["peak"] > estimated["disk_bytes"]["finished"]


def test_a_model_without_a_known_price_makes_the_money_unknown(estimated: dict[str, Any]) -> None:
    assert [model["usd"] for model in estimated["models"]] == [None]
    assert estimated["cost_usd"] is None


def test_an_estimate_calls_no_model_and_leaves_no_file(
    rows: Path, taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    prices = tmp_path.parent / f"{tmp_path.name}.yaml"
    prices.write_text('"openai:m": {input: 1000, output: 0}', encoding="utf-8")
    chosen = configured(
        rows,
        taught,
        agents={"rewriter": {"model": "openai:m"}, "critic": {"model": "self"},
                "diagnostician": {"model": "openai:m"}},
        budget={"max_usd": 0.01, "max_tokens": 10**9, "max_hours": 1e-9, "prices": str(prices)},
    )  # fmt: skip
    found = estimate(chosen)
    assert list(tmp_path.iterdir()) == []
    assert found["rows"]["sampled"] == found["rows"]["train"]
    by_model = {model["model"]: model for model in found["models"]}
    assert by_model["openai:m"]["roles"] == ["rewriter", "diagnostician"]
    asked = ("rewriter", "diagnostician")
    prompts = sum(found["roles"][name]["prompt_tokens"]["high"] for name in asked)
    assert found["cost_usd"]["high"] == pytest.approx(prompts / 1000)
    assert by_model["self"]["usd"] == {"low": 0, "middle": 0, "high": 0}
    assert found["roles"]["diagnostician"]["calls"]["low"] == 1
    verdicts = {one["cap"]: one["verdict"] for one in found["caps"]}
    assert "below the low estimate" in verdicts["max_usd"]
    assert "above the high estimate" in verdicts["max_tokens"]
    assert "below the low estimate" in verdicts["max_hours"]


def test_the_sampled_rows_follow_the_seed(rows: Path, taught: Path) -> None:
    from middo.graph.estimating import _sampled

    chosen = configured(rows, taught)
    samples = list(range(1000))
    first = _sampled(samples, chosen)  # type: ignore[arg-type]  # only counted and streamed
    assert len(first) == 200
    assert first == _sampled(samples, chosen)  # type: ignore[arg-type]
    assert first != _sampled(samples, chosen.model_copy(update={"seed": 8}))  # type: ignore[arg-type]


def test_a_model_here_is_timed_by_a_real_call(tmp_path: Path) -> None:
    """What can't be called is not called, and says why."""
    from middo.core.config import RoleConfig
    from middo.graph.timing import time_calls

    absent = RoleConfig(model=f"llamacpp:{tmp_path / 'absent.gguf'}")
    found = time_calls(absent, RunConfig(), [])
    assert found.measured == 0
    assert "absent.gguf" in found.note
    elsewhere = time_calls(RoleConfig(model="openai:m"), RunConfig(), [])
    assert elsewhere.parallel == RunConfig().refinement.concurrency
    # 16 calls of one second each in 8 lanes, and 480 tokens at 60 per second in 8 lanes
    assert elsewhere.seconds(16, 10**6, 480) == pytest.approx(2 + 1)
