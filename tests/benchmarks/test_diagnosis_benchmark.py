from typing import Any

import pytest

from benchmarks.diagnosis_tables import report, times_faster, verdicts
from benchmarks.reference import rating_chats, usable_rating


def document(engine: str = "vllm", ratings: float = 390.0) -> dict[str, Any]:
    scored = {
        "seconds": 4.0,
        "passes": 3,
        "tokens": 900,
        "padding": 0.0,
        "tokens_per_second": 225.0,
    }
    talk = {"without_number": 9, "at_the_limit": 2, "tokens": 30000}
    found: dict[str, Any] = {
        "model": "tiny",
        "rows": 16,
        "data": "rows.json",
        "dtype": "float32",
        "middo": {
            "loss_base": scored,
            "parity": scored,
            "full": scored,
            "seconds": {"parity": 8.0, "full": 20.0, "loading": 2.0},
            "peak_memory_mb": 700,
        },
        "causal": [{"ratio": 1.2}, {"ratio": 1.4}],
        "calibration": {
            "calibration_seconds": 30.0,
            "calibration_tokens": 70000,
            "calibration_rows": 64,
            "off": "",
            "asks": {"earned": ["alone", "embedding"]},
            "rows_measured": 64,
            "extrapolated": True,
            "rows_taken_over": {"earned": 32, "all": 0},
            "share": {"earned": 0.1, "all": 0.05},
            "share_of_tokens": {"earned": 0.11, "all": 0.06},
        },
        "reference": {
            "engine": engine,
            "rows": 16,
            "extrapolated": False,
            "seconds": {
                "loss_base": 4.0,
                "loss_tuned": 4.0,
                "embedding": 2.0,
                "ratings": ratings,
                "ratings_brief": 70.0,
            },
            "ratings": ratings,
            "ratings_brief": 70.0,
            "total": 10.0 + ratings,
            "loading": 30.0,
            "answers": {"ratings": talk, "ratings_brief": talk},
            "peak_memory_mb": 5000,
        },
        "loss_differences": {"base": 1e-5, "tuned": 2e-5},
    }
    return {**found, "times_faster": times_faster(found)}


def test_ratios_leave_loading_out_and_tell_it_apart() -> None:
    assert document()["times_faster"] == pytest.approx(
        {
            "parity": 50,
            "parity_brief": 10,
            "parity_with_loading": 43,
            "full": 20,
            "full_brief": 4,
            "full_with_loading": 430 / 22,
        }
    )


def test_figures_are_held_against_what_is_to_be_reached() -> None:
    told = {row[0]: row[3] for row in verdicts(document())}
    assert told["same results, times faster"] == "reached"
    assert told["all signals, times faster"] == "missed"
    assert told["same results, times a causal pass"] == "reached"
    assert told["all signals, times a causal pass"] == "missed"
    assert told["calibration, share of 1,000 rows"] == "reached"


def test_without_vllm_no_ratio_is_told() -> None:
    plain = document(engine="transformers")
    assert plain["times_faster"] is None
    assert not any("faster" in row[0] for row in verdicts(plain))
    assert "no ratio to the reference" in report(plain)
    assert "no ratio to the reference" not in report(document())


def test_an_extrapolated_reference_is_marked() -> None:
    large = document()
    large["reference"]["extrapolated"] = True
    assert "extrapolated from 16 rows" in report(large)
    assert "extrapolated from 16 rows" not in report(document())


@pytest.mark.parametrize(
    ("text", "rating"),
    [("8. Well said.", 8.0), ("Rating: 7.5/10", 7.5), ("It is good.", None), ("95 of 100", None)],
)
def test_a_rating_is_the_first_number_where_it_is_on_the_scale(
    text: str, rating: float | None
) -> None:
    assert usable_rating(text) == rating


def test_six_ratings_are_asked_per_row_and_three_show_the_answer() -> None:
    row = [{"role": "user", "content": "Name a sea."}, {"role": "assistant", "content": "Adria"}]
    texts = [chat[0]["content"] for chat in rating_chats([row], "Rate it.")]
    assert len(set(texts)) == 6
    assert ["Adria" in text for text in texts] == [False] * 3 + [True] * 3
    assert all("Name a sea." in text for text in texts)
