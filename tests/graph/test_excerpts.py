"""The worst rows of a diagnosis, with enough of their text to know them by."""

from typing import Any

from middo.core.records import Message, Sample
from middo.graph.excerpts import beginning, with_excerpts


def sample(name: str, prompt: str = "Tell me") -> Sample:
    turns = (Message("user", prompt), Message("assistant", f"Answer of {name}"))
    return Sample(id=name, messages=turns, source=f"rows.jsonl:{name}")


def flag(name: str, axis: str, score: float) -> dict[str, Any]:
    return {"id": name, "axis": axis, "score": score, "threshold": 1.0, "reason": "why"}


def test_the_worst_five_of_each_axis_come_first() -> None:
    scores = [2.0, 7.0, 3.0, 6.0, 4.0, 5.0, 1.5]
    flags = [flag(str(n), "complexity", score) for n, score in enumerate(scores)]
    flags += [flag(str(n), "quality", score / 10) for n, score in enumerate(scores)]
    document = {"flags": flags, "clusters": None, "rows": 7}
    found = with_excerpts(document, (sample(str(n)) for n in range(7)))
    worst = [(row["axis"], row["score"]) for row in found["worst"]]
    assert worst[:5] == [("complexity", score) for score in (7.0, 6.0, 5.0, 4.0, 3.0)]
    assert worst[5:] == [("quality", score) for score in (0.15, 0.2, 0.3, 0.4, 0.5)]
    assert found["worst"][0] == {
        **flag("1", "complexity", 7.0),
        "source": "rows.jsonl:1",
        "prompt": "Tell me",
        "answer": "Answer of 1",
    }
    assert {key: found[key] for key in document} == document


def test_a_cluster_shows_the_prompt_of_its_medoid() -> None:
    one = {"label": 0, "size": 2, "medoid": "b", "density": 0.5}
    document = {"flags": [], "clusters": {"method": "kmeans", "noise": 0, "clusters": [one]}}
    found = with_excerpts(document, [sample("a"), sample("b", "Name\n a  river")])
    assert found["worst"] == []
    assert found["clusters"]["clusters"] == [{**one, "prompt": "Name a river"}]
    assert "prompt" not in one


def test_a_beginning_is_one_line_of_160_characters() -> None:
    assert beginning(" a\n\tb ") == "a b"
    assert beginning("word " * 1000) == ("word " * 32)[:160]
    assert beginning(" " * 1599 + "end") == "e"
