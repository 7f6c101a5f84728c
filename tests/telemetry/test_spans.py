"""What the spans of a run say, as an exporter of the SDK gets them."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, zip_longest
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, get_tracer_provider

from middo.core.trace import NodeBegan, NodeEnded, TraceEvent
from middo.telemetry.export import Exporter, open_exporter

from .told import BEGAN, call, judged, life, settled

Tell = Callable[..., list[ReadableSpan]]


class Kept(InMemorySpanExporter):
    """Keeps spans also after it was shut down."""

    def shutdown(self) -> None:
        pass


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def tell(notes: list[str]) -> Iterator[Tell]:
    """Tell events to an exporter, close it, and return the spans."""

    def told(events: Iterable[TraceEvent], **options: Any) -> list[ReadableSpan]:
        kept = Kept()
        exporter = opened(kept, notes, **options)
        for event in events:
            exporter(event)
        exporter.close()
        return list(kept.get_finished_spans())

    yield told
    assert notes == []


def opened(sink: SpanExporter, notes: list[str], **options: Any) -> Exporter:
    identity = options.pop("identity", "2026-11-25")
    return open_exporter(
        "http://127.0.0.1:1", "a-run", identity=identity, note=notes.append, sink=sink, **options
    )


def by_name(spans: Iterable[ReadableSpan]) -> dict[str, ReadableSpan]:
    several = list(spans)
    named = {span.name: span for span in several}
    assert len(named) == len(several)
    return named


def said(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def times(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time is not None and span.end_time is not None
    return span.start_time, span.end_time


def test_interleaved_samples_become_one_trace_each(tell: Tell) -> None:
    mixed = [event for pair in zip_longest(life("a1"), life("b2")) for event in pair if event]
    spans = tell(mixed)
    traces: dict[int, set[Any]] = {}
    for span in spans:
        traces.setdefault(ids(span)[0], set()).add(said(span)["middo.sample_id"])
    assert sorted(map(sorted, traces.values())) == [["a1"], ["b2"]]
    assert len(spans) == 2 * 10  # refine, 2 attempts, 3 calls, 4 gates


def test_the_same_sample_in_two_rounds_is_two_traces(tell: Tell) -> None:
    events = [call(), settled(), call(round=2, at=20.0), settled(round=2)]
    assert len({ids(span)[0] for span in tell(events)}) == 2


def test_calls_and_gates_hang_below_their_attempt(tell: Tell) -> None:
    spans = tell(life())
    names = {ids(span)[1]: span.name for span in spans}
    tree = {
        (span.name, said(span).get("middo.attempt")): names[span.parent.span_id]
        for span in spans
        if span.parent is not None
    }
    assert tree == {
        ("attempt 1", 1): "refine sample",
        ("rewrite_answer_quality", 1): "attempt 1",
        ("gate: checks", 1): "attempt 1",
        ("attempt 2", 2): "refine sample",
        ("rewrite_answer_quality", 2): "attempt 2",
        ("gate: checks", 2): "attempt 2",
        ("critique", 2): "attempt 2",
        ("gate: critique", 2): "attempt 2",
        ("gate: proof", 2): "attempt 2",
    }


def test_every_span_lies_within_its_parent(tell: Tell) -> None:
    # As a resumed run tells it: the first call was made before the run stopped.
    spans = tell([call(at=-50.0), *life()[1:]])
    known = {ids(span)[1]: span for span in spans}
    below = [span for span in spans if span.parent is not None]
    assert len(below) == 9
    for span in below:
        assert span.parent is not None
        outer, inner = times(known[span.parent.span_id]), times(span)
        assert outer[0] <= inner[0] <= inner[1] <= outer[1]
    root = by_name(span for span in spans if span.parent is None)["refine sample"]
    assert times(root) == (round((BEGAN - 50) * 1e9), round((BEGAN + 9) * 1e9))


def test_times_are_those_of_the_events(tell: Tell) -> None:
    spans = by_name(tell([call(at=1.25), judged(at=2.0), settled(seconds=3.0)]))
    assert times(spans["rewrite_answer_quality"]) == (
        round((BEGAN + 1.25) * 1e9),
        round((BEGAN + 1.75) * 1e9),
    )
    assert times(spans["gate: checks"]) == (round((BEGAN + 2) * 1e9),) * 2
    assert times(spans["refine sample"]) == (round(BEGAN * 1e9), round((BEGAN + 3) * 1e9))


def test_kinds_are_those_of_openinference(tell: Tell) -> None:
    kinds = {span.name: said(span)["openinference.span.kind"] for span in tell(life())}
    assert kinds == {
        "refine sample": "AGENT",
        "attempt 1": "CHAIN",
        "attempt 2": "CHAIN",
        "rewrite_answer_quality": "LLM",
        "critique": "LLM",
        "gate: checks": "GUARDRAIL",
        "gate: critique": "EVALUATOR",
        "gate: proof": "EVALUATOR",
    }


def test_a_call_carries_messages_tokens_cost_and_prompt(tell: Tell) -> None:
    spans = tell([call(raw=["{", '{"answer": "x"}']), settled()], providers={"rewriter": "openai"})
    found = said(by_name(spans)["rewrite_answer_quality"])
    expected = {
        "session.id": "a-run",
        "llm.model_name": "gpt-x-2026",
        "llm.provider": "openai",
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "You repair answers.",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.content": "Prompt of a1",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "{",
        "llm.output_messages.1.message.content": '{"answer": "x"}',
        "llm.token_count.prompt": 40,
        "llm.token_count.completion": 8,
        "llm.token_count.total": 48,
        "llm.cost.total": 0.25,
        "llm.prompt_template.version": "2",
        "prompt.id": "rewrite_answer_quality",
        "input.value": "Prompt of a1",
        "input.mime_type": "text/plain",
        "output.value": '{"answer": "Vinegar dresses salads."}',
        "output.mime_type": "application/json",
        "tag.tags": ("rewriter", "live"),
    }
    assert {name: found.get(name) for name in expected} == expected
    assert json.loads(found["metadata"])["prompt_hash"] == "f00d"


def test_unknown_tokens_prices_and_providers_are_left_out(tell: Tell) -> None:
    spans = tell([call(completion_tokens=None, usd=None), settled()])
    found = said(by_name(spans)["rewrite_answer_quality"])
    assert found["llm.token_count.prompt"] == 40
    absent = {"completion", "total"}
    assert not {f"llm.token_count.{name}" for name in absent} & found.keys()
    assert not {"llm.cost.total", "llm.provider"} & found.keys()


def test_the_root_shows_what_was_asked_and_what_came_of_it(tell: Tell) -> None:
    root = next(span for span in tell(life()) if span.parent is None)
    found = said(root)
    assert found["session.id"] == "a-run"
    assert found["input.value"] == "Prompt of a1"
    output = json.loads(found["output.value"])
    assert (output["fate"], output["attempts"]) == ("accepted", 2)
    assert output["proposal"] == {"answer": "Vinegar dresses salads."}
    assert found["tag.tags"] == ("quality", "accepted", "round 1")
    assert found["middo.fate"] == "accepted"
    assert root.status.status_code is StatusCode.OK


def test_the_gates_of_a_node_say_what_they_measured(tell: Tell) -> None:
    verdicts = [judged(passed=False, reason="gone"), judged(gate="length")]
    spans = tell([call(), *verdicts, settled(fate="rejected")])
    refused = said(by_name(spans)["gate: checks"])
    assert json.loads(refused["output.value"]) == [
        {"gate": "numbers", "passed": False, "reason": "gone", "numbers": {"missing": 0}},
        {"gate": "length", "passed": True, "reason": "", "numbers": {"missing": 0}},
    ]
    assert refused["middo.passed"] is False
    assert refused["tag.tags"] == ("refused", "numbers")
    # A proposal that is refused is the work of a gate, no error.
    assert {span.status.status_code for span in spans} == {StatusCode.OK}


def test_a_failed_sample_is_an_error_down_to_its_call(tell: Tell) -> None:
    broken = call(status="failed", value=None, error="no JSON in the answer")
    spans = by_name(tell([broken, settled(fate="failed", reason="rewriter: no JSON")]))
    assert {
        name: (span.status.status_code, span.status.description) for name, span in spans.items()
    } == {
        "refine sample": (StatusCode.ERROR, "rewriter: no JSON"),
        "attempt 1": (StatusCode.ERROR, "no JSON in the answer"),
        "rewrite_answer_quality": (StatusCode.ERROR, "no JSON in the answer"),
    }
    assert said(spans["rewrite_answer_quality"])["output.value"] == "no JSON in the answer"


def test_what_is_open_at_the_end_is_sent_as_unfinished(tell: Tell) -> None:
    root = next(span for span in tell(life()[:-1]) if span.parent is None)
    assert said(root)["middo.fate"] == "unfinished"
    assert "unfinished" in said(root)["tag.tags"]
    assert times(root) == (round((BEGAN + 1) * 1e9), round((BEGAN + 5) * 1e9))


def test_a_trace_that_is_told_again_is_the_same(tell: Tell) -> None:
    first, again = tell(life()), tell(life())
    assert list(map(ids, first)) == list(map(ids, again))
    cut = tell(life()[:-1])
    assert not {ids(span)[0] for span in cut} & {ids(span)[0] for span in first}
    other = tell(life(), identity="another run of that name")
    assert not {ids(span)[0] for span in other} & {ids(span)[0] for span in first}


def test_a_call_that_the_ledger_answers_again_is_sent_once(tell: Tell) -> None:
    spans = tell([call(), call(), judged(), settled()])
    assert sum(span.name == "rewrite_answer_quality" for span in spans) == 1


def test_what_is_told_of_a_settled_sample_makes_no_second_trace(tell: Tell) -> None:
    # Copies of one sample share the calls of the first, which may be settled by then.
    spans = tell([call(), settled(), call(), call(at=4.0)])
    assert len({ids(span)[0] for span in spans}) == 1
    assert len(spans) == 3


def test_a_sample_that_nobody_worked_on_has_no_trace(tell: Tell) -> None:
    assert tell([settled(fate="deferred", attempts=0)]) == []


def test_the_plan_of_a_round_is_a_trace_of_its_own(tell: Tell) -> None:
    asked = call("", agent="diagnostician", prompt="plan", axes="")
    spans = tell(
        [
            NodeBegan("diagnose", 1, BEGAN),
            asked,
            NodeEnded("diagnose", 1, BEGAN, 7.0, "done", "12 flagged"),
        ]
    )
    kinds = {said(span)["openinference.span.kind"]: span for span in spans if span.name == "plan"}
    root, inner = kinds["AGENT"], kinds["LLM"]
    assert root.parent is None and inner.parent is not None
    assert inner.parent.span_id == ids(root)[1]
    assert len({ids(span)[0] for span in spans}) == 2


def test_the_nodes_of_a_session_are_one_trace(tell: Tell) -> None:
    spans = by_name(
        tell(
            [
                NodeBegan("train", 0, BEGAN),
                NodeEnded("train", 0, BEGAN, 3.0, "done", "loss 1.2"),
                NodeBegan("merge", 0, BEGAN + 4),
                NodeEnded("merge", 0, BEGAN + 4, 1.0, "failed", "rows are missing"),
            ]
        )
    )
    root = spans["run"]
    assert {span.parent.span_id for span in spans.values() if span.parent} == {ids(root)[1]}
    assert len({ids(span)[0] for span in spans.values()}) == 1
    assert times(root) == (round(BEGAN * 1e9), round((BEGAN + 5) * 1e9))
    assert spans["train"].status.status_code is StatusCode.OK
    assert spans["merge"].status.description == "rows are missing"
    assert root.status.status_code is StatusCode.ERROR


def test_a_node_that_never_ended_is_shown_as_unfinished(tell: Tell) -> None:
    spans = by_name(tell([NodeBegan("train", 0, BEGAN)]))
    assert said(spans["train"])["output.value"] == "unfinished"


def test_texts_that_no_database_takes_are_made_fit(tell: Tell) -> None:
    spans = tell([call(messages=[["user", "half a pair \ud83d and a NUL \0."]]), settled()])
    found = said(by_name(spans)["rewrite_answer_quality"])
    assert found["input.value"] == "half a pair ? and a NUL \ufffd."


def test_the_resource_names_the_program_and_the_project(tell: Tell) -> None:
    resource = dict(tell(life())[0].resource.attributes)
    assert resource.pop("service.version")
    assert resource == {"service.name": "middo", "openinference.project.name": "middo"}


def test_variables_of_the_environment_change_nothing(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "2",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "3",
        "OTEL_RESOURCE_ATTRIBUTES": "user=me",
        "OTEL_SERVICE_NAME": "mine",
    }.items():
        monkeypatch.setenv(name, value)
    spans = tell(life())
    assert len(spans) == 10
    assert said(by_name(s for s in spans if s.parent is None)["refine sample"])["input.value"] == (
        "Prompt of a1"
    )
    assert dict(spans[0].resource.attributes)["service.name"] == "middo"
    assert "user" not in spans[0].resource.attributes


def test_the_switch_of_the_sdk_is_obeyed_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    kept, notes = Kept(), list[str]()
    exporter = opened(kept, notes)
    for event in life():
        exporter(event)
    exporter.close()
    assert kept.get_finished_spans() == ()
    assert notes == [
        "OpenTelemetry: nothing is sent to 127.0.0.1:1, since OTEL_SDK_DISABLED is true"
    ]


def test_the_provider_of_the_process_is_left_alone(tell: Tell) -> None:
    before = get_tracer_provider()
    tell(chain(life("a1"), life("b2")))
    assert get_tracer_provider() is before
