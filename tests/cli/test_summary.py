from pathlib import Path
from typing import Any

import pytest

from middo.cli.rounds import axis_lines, round_table
from middo.cli.summary import status_text, summary_text
from middo.core.amounts import several
from middo.curation.verdict import verdict
from middo.inspection.figures import aligned, count, duration

from .documents import finished, with_round

RUN = Path("runs/20261122-100000-ab12cd")

SUMMARY = """\
Run 20261122-100000-ab12cd: finished (all 1 rounds are done)

Data        152 rows imported (alpaca): 71 to train on, 24 held out, 1 quarantined, 56 not
            selected
Untuned     hold-out loss 2.7313 nats per token before training

  Round  Rows    Training  Hold-out loss  95% interval      Against round 0  Gate
untuned     -           -         2.7313  -                 -                -
      0    71  1 min 22 s         1.8124  1.7001 to 1.9302  -                baseline
      1    72      reused         1.8003  1.6900 to 1.9210  -0.0121          tie

Round 0 to 1: 10 samples were flagged
  complexity  0 flagged (threshold 5.1000, k 4.00): no sample is beyond the threshold
  diversity   5 flagged (threshold 0.1234, k 1.25)
  quality     off: no kind of control counts
  fates       5 accepted, 3 rejected, 1 failed, 1 deferred
  rows        67 kept, 4 replaced, 1 added, 0 dropped
  reasons       2 x the answer repeats itself
                1 x beyond max_samples
                1 x no valid JSON
                1 x the prompt lost a number
  caution     losses of base and tuned model agree (0.97)

Result      best round 1: no measurable difference from round 0 on 24 held-out rows and one seed
            (-0.0121, 95% interval -0.0312 to +0.0074)
Tokens      12,345 read and 2,345 written in 31 calls; no cost, all models are local
Time        8 min 12 s: train 2 min 55 s, diagnose 2 min 00 s, evaluate 40 s, prepare 1.2 s
Export      runs/20261122-100000-ab12cd/export (data, model, README.md)
Next        `middo export runs/20261122-100000-ab12cd --format messages --to FILE` writes the
            data in another form; `middo view runs/20261122-100000-ab12cd` shows rounds, samples
            and proposals"""


def test_the_summary_of_a_finished_run() -> None:
    text = summary_text(finished(), RUN)
    assert text == SUMMARY
    assert max(map(len, text.splitlines())) <= 100


def difference(mean: float, low: float, high: float) -> dict[str, float]:
    return {"mean": mean, "low": low, "high": high}


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (
            with_round(1, gate="better", difference=difference(-0.05, -0.08, -0.02)),
            "best round 1: better than round 0 by 0.0500 nats per token on 24 held-out rows "
            "and one seed (95% interval -0.0800 to -0.0200)",
        ),
        (
            {
                **with_round(1, gate="rolled_back", difference=difference(0.05, 0.02, 0.08)),
                "best_round": 0,
            },
            "best round 0: no refinement lowered the hold-out loss (round 1: worse than round 0 by "
            "0.0500 nats per token on 24 held-out rows and one seed (95% interval +0.0200 to "
            "+0.0800), rolled back)",
        ),
        (
            {
                **with_round(1, gate="tie", difference=difference(0.004, 0.002, 0.006)),
                "best_round": 0,
            },
            "best round 0: no refinement lowered the hold-out loss (round 1: worse than round 0 by "
            "0.0040 nats per token on 24 held-out rows and one seed (95% interval +0.0020 to "
            "+0.0060), as gate.margin allows)",
        ),
        (
            {
                **with_round(1, gate="tie", difference=difference(0.01, -0.02, 0.04)),
                "best_round": 0,
            },
            "best round 0: no refinement lowered the hold-out loss (round 1: no measurable "
            "difference from round 0 on 24 held-out rows and one seed (+0.0100, 95% interval "
            "-0.0200 to +0.0400))",
        ),
        (
            with_round(
                1,
                gate="undecided",
                difference=difference(-0.05, -0.08, -0.02),
                evaluation={"holdout_loss": 1.0, "rows": 12},
            ),
            "best round 1: undecided, 12 held-out rows and one seed can't tell it from round 0 "
            "(-0.0500, 95% interval -0.0800 to -0.0200)",
        ),
        (
            with_round(1, evaluation=None),
            "only round 0 was trained: there is nothing to compare it with",
        ),
        (finished(rounds=[]), "no round was evaluated"),
        (
            with_round(1, difference=None),
            "best round 1: not compared with round 0 on 24 held-out rows",
        ),
    ],
)
def test_the_sentence_claims_no_more_than_the_interval(
    document: dict[str, Any], sentence: str
) -> None:
    assert verdict(document["rounds"], document.get("best_round")) == sentence


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"run": "r", "status": "running", "rounds": []},
        {
            "run": "r",
            "status": "running",
            "rounds": [{"round": 0}],
            "tokens": None,
            "seconds": None,
        },
        finished(status="interrupted", best_round=None, export=None, seconds=None, cost_usd=None),
        with_round(0, axes=None, reasons=None, accepted=None, times=None, training=None),
    ],
)
def test_a_run_that_has_only_begun_can_be_shown(document: dict[str, Any]) -> None:
    for text in (summary_text(document, RUN), status_text(document, RUN)):
        assert text.startswith("Run ")
        assert "None" not in text
        assert "nan" not in text


def test_rows_set_aside_are_told_with_both_figures() -> None:
    evaluation = {
        "holdout_loss": 1.80026,
        "interval": [1.69, 1.921],
        "rows": 22,
        "set_aside": 2,
        "all_rows": {"loss": 1.95, "interval": [1.8, 2.1], "rows": 24},
    }
    text = summary_text(with_round(1, evaluation=evaluation), RUN)
    assert "Hold-out    2 broken rows of the hold-out set aside; with all 24 rows the" in text
    assert "the loss of round 1 is 1.9500" in " ".join(text.split())


def test_what_is_unknown_is_called_unknown() -> None:
    tokens = {"prompt": 10, "completion": 5, "calls": 2, "unknown_calls": 1}
    text = summary_text(finished(cost_usd=None, tokens=tokens), RUN)
    assert "10 read and 5 written in 2 calls, and unknown for 1 more call; cost unknown" in text
    assert "; 1.50 USD" in summary_text(finished(cost_usd=1.5), RUN)


def test_a_stopped_run_says_how_to_go_on() -> None:
    text = summary_text(finished(status="interrupted", stopped=None), RUN)
    assert f"`middo resume {RUN}` goes on where the run stopped" in text
    assert "--watch` follows the run" in status_text(finished(status="running"), RUN)


def test_many_reasons_are_cut_with_a_count() -> None:
    reasons = {f"reason {n:02d}": 1 for n in range(11)}
    text = summary_text(with_round(0, reasons=reasons), RUN)
    assert "1 x reason 07" in text
    assert "reason 08" not in text
    assert "and 3 other reasons" in text


def test_an_axis_that_is_not_there_is_not_invented() -> None:
    lines = axis_lines({"quality": {"on": True, "threshold": 0.5, "flagged": 3}}, {})
    assert lines == [
        "  complexity  not configured",
        "  diversity   not configured",
        "  quality     3 flagged (threshold 0.5000)",
    ]


def test_the_table_of_a_running_round_has_dashes() -> None:
    table = round_table([{"round": 0, "dataset": {"rows": 1234}}], None)
    assert table[1].split() == ["0", "1,234", "-", "-", "-", "-", "-"]
    assert round_table([], 2.0) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (3725, "1 h 02 min"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_counts_and_columns() -> None:
    assert (count(1234567), count(None), count(0)) == ("1,234,567", "-", "0")
    assert (several(1, "row"), several(0, "row")) == ("1 row", "0 rows")
    assert aligned([["a", "bb"], ["ccc", "d"]], [False, True]) == ["a    bb", "ccc   d"]


def test_a_plan_of_a_model_is_told_with_what_was_not_granted() -> None:
    plan = {
        "model": "openai:gpt",
        "k": {"complexity": 2.5},
        "weights": {"complexity": 0.2, "quality": 0.8},
        "rationale": "Rewrites for \x1b[31mquality\x1b[0m work. " + "And so on. " * 40,
        "held": ["quality k: asked 9, held at 4"],
    }
    lines = summary_text(with_round(0, plan=plan), RUN).splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("  plan"))
    start = "  plan        k of complexity 2.50, shares complexity 20%, quality 80%: Rewrites for"
    assert lines[at].startswith(f"{start} quality work. And")
    assert len(lines[at]) <= 174
    assert lines[at + 1] == "  held        quality k: asked 9, held at 4"
    stays = {**plan, "k": {}, "weights": None, "held": [], "rationale": "Fine."}
    text = summary_text(with_round(0, plan=stays), RUN)
    assert "\n  plan        as it is: Fine.\n  fates" in text


def figure(score: float | None, interval: list[float] | None, **changes: Any) -> dict[str, Any]:
    plain = {"task": "gsm8k", "metric": "number", "score": score, "interval": interval}
    rest = {"rows": 30, "unscored": 0, "is_share": True, "against_base": None}
    return {**plain, **rest, **changes}


def test_tasks_have_a_line_per_model() -> None:
    document = finished()
    own = {"task": "polite", "metric": "polite", "is_share": False, "rows": None}
    against = {"mean": 0.0667, "low": -0.0333, "high": 0.1667, "rows": 30}
    document["base_tasks"] = [figure(0.0333, [0.0059, 0.1667]), figure(0.5, None, **own)]
    document["rounds"][0]["tasks"] = [
        figure(0.1, [0.0346, 0.2562], against_base=against, unscored=1),
        figure(0.75, [0.7, 0.8], **own, against_base={**against, "mean": 0.25}),
    ]
    wanted = """\
Task           Model     Score  95% interval      Against untuned                   Rows
gsm8k, number  untuned    3.3%  0.6% to 16.7%     -                                   30
gsm8k, number  round 0   10.0%  3.5% to 25.6%     +6.7 points (-3.3 to +16.7)  30, 1 not asked
polite         untuned  0.5000  -                 -                                    -
polite         round 0  0.7500  0.7000 to 0.8000  +0.2500 (-0.0333 to +0.1667)         -"""
    for text in (summary_text(document, RUN), status_text(document, RUN)):
        lines = [" ".join(line.split()) for line in text.splitlines()]
        for line in wanted.splitlines():
            assert " ".join(line.split()) in lines


def test_a_task_that_could_not_be_asked_shows_no_number() -> None:
    document = finished()
    document["base_tasks"] = [figure(None, None, rows=0, unscored=3, is_share=False)]
    lines = [" ".join(line.split()) for line in status_text(document, RUN).splitlines()]
    assert "gsm8k, number untuned - - - 0, 3 not asked" in lines
