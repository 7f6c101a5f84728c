from middo.checks.decontamination import EvaluationIndex, check_decontamination
from middo.core.records import Message, Sample

from .proposals import proposal

LONG = "Natalia sold clips to 48 of her friends in April and then half as many in May"
SHORT = "Name the capital of France."
INDEX = EvaluationIndex.build([LONG, SHORT, "yes", "How are you"])


def test_thirteen_words_in_a_row_are_an_overlap() -> None:
    run = " ".join(LONG.split()[:13])
    assert INDEX.overlap(f"So, {run.upper()}, and more!") == run.casefold()
    assert INDEX.overlap(" ".join(LONG.split()[:12])) is None
    assert INDEX.overlap(LONG.replace("48", "49")) is None


def test_short_texts_overlap_as_a_whole() -> None:
    assert INDEX.overlap("name the capital of france") == "name the capital of france"
    assert INDEX.overlap("Please name the capital of France") is None
    assert INDEX.overlap("yes") is None
    assert INDEX.overlap("How are you?") is None


def test_signs_count_as_words_where_there_are_no_spaces() -> None:
    index = EvaluationIndex.build(["今天天气很好我们一起去公园散步吧"])
    assert index.overlap("因为今天天气很好我们一起去公园散步吧") is not None
    assert index.overlap("今天天气很好") is None


def test_evaluation_text_in_prompt_or_answer_is_refused() -> None:
    assert not check_decontamination(proposal("x", (f"{LONG}. How many?", "72")), INDEX).passed
    verdict = check_decontamination(proposal("x", ("Tell me.", LONG)), INDEX)
    assert not verdict.passed and verdict.numbers["first"].startswith("natalia sold")
    assert check_decontamination(proposal("x", ("Tell me.", "yes")), INDEX).passed


def test_what_the_parent_holds_is_inherited() -> None:
    inherited = check_decontamination(proposal((LONG, "72"), (f"{LONG}?", "It is 72.")), INDEX)
    assert inherited.passed and "original" in inherited.reason
    assert inherited.numbers["inherited"] == inherited.numbers["overlaps"] > 0
    half = proposal((" ".join(LONG.split()[:14]), "72"), (LONG, "It is 72."))
    assert not check_decontamination(half, INDEX).passed


def test_an_empty_index_refuses_nothing() -> None:
    assert check_decontamination(proposal("x", (LONG, LONG)), EvaluationIndex.build([])).passed


def test_a_whole_row_is_refused_however_short_it_is() -> None:
    held = Sample("held", (Message("user", "And 2 + 2?"), Message("assistant", "4.")), "f:1")
    index = EvaluationIndex.of([held])
    verdict = check_decontamination(proposal("x", ("and 2 + 2", "4")), index)
    assert not verdict.passed and verdict.numbers["first"].startswith("and 2")
    assert check_decontamination(proposal("x", ("And 2 + 2?", "5.")), index).passed
    assert check_decontamination(proposal("x", ("And 3 + 1?", "4.")), index).passed
    inherited = proposal(("And 2 + 2?", "4."), ("And 2 + 2?", "4"))
    assert check_decontamination(inherited, index).passed


def test_rows_are_indexed_with_their_texts() -> None:
    held = Sample("held", (Message("user", SHORT), Message("assistant", LONG)), "f:1")
    index = EvaluationIndex.of([held])
    assert index.overlap(SHORT) is not None and index.overlap(LONG) is not None
