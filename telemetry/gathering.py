"""Events, which arrive interleaved, gathered into whole traces.

A trace is whole when its last event has come: `Settled` for a sample, the end of `diagnose` for the
plan of a round. What is still open when the run ends is handed out as it stands. Nothing here
depends on OpenTelemetry's SDK.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..core.trace import Call, Judged, NodeBegan, NodeEnded, Settled, TraceEvent
from .spans import Span, Step, node_span, plan_span, run_span, sample_span

PLANNED_IN = "diagnose"
"""The node whose end ends the trace of a round's plan."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree of spans that is ready to be sent.

    Attributes:
        trace: what its trace is of, such as `("sample", "2", "0f3a...")`: equal for equal work, so
            that a trace that is told twice can be known again.
        span: its root.
        whole: whether nothing can follow. A resumed run tells the trace of an unfinished sample
            anew, so what was cut short must not be taken for it.
        place: of its root below the root of the trace; empty for the root itself.
    """

    trace: tuple[str, ...]
    span: Span
    whole: bool = True
    place: str = ""


class _Loop:
    """The nodes of one session of the run, whose root is sent last."""

    def __init__(self, moment: float) -> None:
        self.trace = ("run", repr(moment))
        self.start = self.end = moment
        self.nodes: list[NodeEnded] = []
        self.open: dict[tuple[str, int], NodeBegan] = {}

    def ended(self, node: NodeEnded) -> Tree:
        self.open.pop((node.node, node.round), None)
        self.nodes.append(node)
        span = node_span(node)
        self.start, self.end = min(self.start, span.start), max(self.end, span.end)
        return Tree(self.trace, span, place=str(len(self.nodes)))

    def rest(self, run: str) -> Iterator[Tree]:
        for begun in list(self.open.values()):
            seconds = max(self.end - begun.at, 0.0)
            yield self.ended(
                NodeEnded(begun.node, begun.round, begun.at, seconds, "stopped", "unfinished")
            )
        yield Tree(self.trace, run_span(run, self.nodes, self.start, self.end))


class Gathering:
    """The traces of a run that are not whole yet."""

    def __init__(self, run: str, providers: Mapping[str, str]) -> None:
        """Begin with nothing; `providers` is as in `spans.sample_span`."""
        self._run = run
        self._providers = providers
        self._samples: dict[tuple[int, str], list[Step]] = {}
        self._done: set[tuple[int, str]] = set()
        self._plans: dict[int, list[Call]] = {}
        self._loop: _Loop | None = None

    def take(self, event: TraceEvent) -> Iterator[Tree]:
        """Add an event; yield the traces that it makes whole."""
        match event:
            case NodeBegan():
                self._session(event.at).open[event.node, event.round] = event
            case NodeEnded():
                yield self._session(event.began).ended(event)
                if event.node == PLANNED_IN:
                    yield from self._planned(event.round, whole=event.status == "done")
            case Settled():
                yield from self._settled(event)
            case Call() if not event.sample_id:
                calls = self._plans.setdefault(event.round, [])
                if not _has(calls, event):
                    calls.append(event)
            case Call() | Judged() if (event.round, event.sample_id) not in self._done:
                # A copy of a sample shares the calls of the first, which may be done by now.
                steps = self._samples.setdefault((event.round, event.sample_id), [])
                if not _has(steps, event):
                    steps.append(event)

    def rest(self) -> Iterator[Tree]:
        """Yield what is still open, and the run's own span as the last."""
        for (number, name), steps in self._samples.items():
            span = sample_span(steps, None, self._providers)
            yield Tree(("sample", str(number), name), span, whole=False)
        self._samples.clear()
        for number in list(self._plans):
            yield from self._planned(number, whole=False)
        if self._loop is not None:
            yield from self._loop.rest(self._run)
            self._loop = None

    def _settled(self, event: Settled) -> Iterator[Tree]:
        self._done.add((event.round, event.sample_id))
        steps = self._samples.pop((event.round, event.sample_id), [])
        if not steps and event.fate == "deferred":
            return  # nobody worked on it
        trace = ("sample", str(event.round), event.sample_id)
        yield Tree(trace, sample_span(steps, event, self._providers))

    def _planned(self, number: int, *, whole: bool) -> Iterator[Tree]:
        calls = self._plans.pop(number, [])
        if calls:
            yield Tree(("plan", str(number)), plan_span(calls, self._providers, whole=whole), whole)

    def _session(self, moment: float) -> _Loop:
        if self._loop is None:
            self._loop = _Loop(moment)
        return self._loop


def _has(steps: Sequence[Step], step: Step) -> bool:
    """True for a call that is there: a repeated question is answered from the ledger."""
    return isinstance(step, Call) and any(
        isinstance(other, Call) and other.key == step.key for other in steps
    )
