"""The shipped recording fits the prompts of this version, and says what it is."""

import pytest

from middo.prompts.loader import load
from middo.stores.recording import read_recording

AGAIN = (
    "the demo would ask its small fallback model instead of the recording; record anew with"
    " `make recording TEACHER=FILE.gguf`"
)


def test_every_recorded_prompt_is_of_its_present_version() -> None:
    for name, versions in read_recording("demo").versions().items():
        assert versions == {load(name).version}, f"prompt {name!r} has moved on: {AGAIN}"


@pytest.mark.parametrize(
    "name", ["rewrite_answer_quality", "rewrite_prompt_complexity", "critique"]
)
def test_the_prompts_that_the_demo_needs_are_recorded(name: str) -> None:
    assert name in read_recording("demo").versions(), AGAIN


def test_it_names_model_licence_and_date() -> None:
    about = read_recording("demo").about
    assert "Qwen2.5-Coder-1.5B-Instruct" in about["model"]
    assert about["licence"] == "Apache-2.0"
    assert about["date"] >= "2026-11-01"
