"""Whatever a model or its server says: what was embedded is found, and nothing else is raised."""

import json
from typing import Any

import pytest
from hypothesis import strategies as st

from middo.core.ids import fence_of
from middo.core.redaction import REDACTED, redact
from middo.inspection.diff import word_diff
from middo.providers.extraction import json_objects, without_reasoning
from middo.providers.failures import limits_rate, meaning, retry_after

from ..formats.arbitrary import PIECES, encodable
from ..fuzzing import fuzz
from ..torture.tally import RecordProperty

pytestmark = pytest.mark.fuzz

plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), plain, max_size=4)
prose = st.one_of(
    st.text(max_size=30).filter(lambda text: "{" not in text and "<" not in text),
    st.sampled_from(
        ["```json\n", "\n```", "Sure: ", "use {braces} ", "{", '{"', "[", "}", '"', "\\"]
    ),
)
TAGS = ("<think>", "</think>", "<Thinking>", "</thinking>", "<reasoning>", "</REASONING>")


def test_embedded_objects_are_found(record_property: RecordProperty) -> None:
    def check(drawn: tuple[list[tuple[str, dict[str, Any]]], str, bool]) -> None:
        pairs, last, wide = drawn
        dumped = [json.dumps(value, ensure_ascii=wide) for _, value in pairs]
        tags = any(tag.lower() in text.lower() for tag in TAGS for text in dumped)
        text = "".join(
            f"{before} {inner}" for (before, _), inner in zip(pairs, dumped, strict=True)
        )
        found = json_objects(text + last)
        values = [json.loads(inner) for inner in dumped]
        if not tags and not any("{" in before for before, _ in pairs) and "{" not in last:
            assert [json.dumps(one) for one in found] == [json.dumps(one) for one in values]
        assert without_reasoning(text) == text.strip() or tags or "<" in text

    pairs = st.lists(st.tuples(prose, objects), min_size=1, max_size=3)
    fuzz(record_property, check, st.tuples(pairs, prose, st.booleans()), torture=3_000)


def test_any_reply_is_taken_apart(record_property: RecordProperty) -> None:
    parts = st.one_of(
        st.sampled_from([*TAGS, *PIECES, "{", "}", '{"a":', "1", "[", "]", "1" * 5_000, "1e999"]),
        st.text(max_size=10),
    )

    def check(drawn: list[str]) -> None:
        text = "".join(drawn)
        assert all(isinstance(one, dict) for one in json_objects(text))
        left = without_reasoning(text)
        assert "<think>" not in left.lower() and "</think>" not in left.lower()

    fuzz(record_property, check, st.lists(parts, max_size=20), torture=4_000)


class Failure(Exception):
    def __init__(self, headers: dict[str, str], code: object) -> None:
        super().__init__({"code": code})
        self.response = type("Response", (), {"headers": headers, "status_code": code})()
        self.status_code = code


def test_any_header_and_code_of_an_error_is_understood(record_property: RecordProperty) -> None:
    dates = st.tuples(
        st.sampled_from(["Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 9999 07:28:00 +9999", ""]),
        st.text(max_size=8),
        st.integers(0, 30),
    ).map(lambda drawn: drawn[0][: drawn[2]] + drawn[1] + drawn[0][drawn[2] :])
    headers = st.one_of(
        dates,
        st.floats().map(str),
        st.integers().map(str),
        st.text("0123456789²٣ -+:.eE,", max_size=9),
    )
    codes = st.one_of(
        st.none(), st.integers(), st.text(max_size=4), st.just("9" * 5_000), st.just("²")
    )

    def check(drawn: tuple[dict[str, str], object]) -> None:
        error = Failure(*drawn)
        seconds = retry_after(error)
        assert seconds is None or 0 <= seconds < float("inf")
        for one in (error, ValueError({"code": drawn[1], "status": drawn[1]})):
            assert meaning(one) in ("retry", "refused", "answer", "provider")
            limits_rate(one)

    names = st.sampled_from(["retry-after", "retry-after-ms"])
    drawn = st.tuples(st.dictionaries(names, headers), codes)
    always: list[tuple[dict[str, str], object]] = [({}, "²"), ({}, "9" * 5_000)]
    fuzz(record_property, check, drawn, few=100, torture=4_000, always=always)


CANARY = "canary-K3y/0123456789"


def test_redacted_is_redacted_and_holds_no_key(
    record_property: RecordProperty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", CANARY)
    words = ("password", "secret", "api_key", "Bearer ", "authorization: ", "https://", "@", "=")
    parts = st.one_of(
        st.sampled_from(
            [CANARY, json.dumps(CANARY), *words, ":", '"', " ", "sk-", "0123456789abcdef"]
        ),
        st.sampled_from([REDACTED, *PIECES]),
        st.text(max_size=8),
    )

    def check(drawn: list[str]) -> None:
        once = redact("".join(drawn))
        assert CANARY not in once
        assert redact(once) == once

    fuzz(record_property, check, st.lists(parts, max_size=12), few=200, torture=6_000)


def test_pieces_of_a_diff_are_both_texts(record_property: RecordProperty) -> None:
    texts = st.one_of(encodable, st.text(max_size=40), st.text("ab .\n", max_size=60))

    def check(drawn: tuple[str, str]) -> None:
        pieces = word_diff(*drawn)
        for side, other in enumerate(("added", "removed")):
            assert "".join(one.text for one in pieces if one.kind != other) == drawn[side]
        assert all(one.text for one in pieces)

    fuzz(record_property, check, st.tuples(texts, texts), few=200, torture=5_000)


def test_no_text_holds_its_own_fence(record_property: RecordProperty) -> None:
    def check(drawn: tuple[list[str], int]) -> None:
        text = "".join(drawn[0])
        for _ in range(drawn[1]):
            text += fence_of(text)
        assert fence_of(text) not in text
        assert len(fence_of(text)) == 16

    pieces = st.lists(st.sampled_from([*PIECES, "0123456789abcdef"]), max_size=8)
    fuzz(record_property, check, st.tuples(pieces, st.integers(0, 3)), torture=2_000)
