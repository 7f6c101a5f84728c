"""Reads off the network what exchanges want: token losses, rating probabilities, embeddings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .exchange import Exchange, Part
from .layout import Ids, Indices, Layout, Row, Segment, fused, padded_batches, separate
from .network import Network, States

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Way:
    """How branches are computed.

    Attributes:
        name: for messages.
        arrange: how a conversation becomes rows.
        packed: whether rows share one sequence without padding.
    """

    name: str
    arrange: Callable[[Sequence[Segment]], Layout]
    packed: bool


BLOCKS = Way("attention in blocks", fused, packed=True)
MASKS = Way("masks", fused, packed=False)
PATHS = Way("separate paths", separate, packed=False)


@dataclass(slots=True)
class Reading:
    """What the network says of one exchange.

    Attributes:
        losses: per part of the exchange, nats per token.
        entropies: of the predictions of the answer's tokens, nats; None where not wanted.
        ratings: log probabilities [questions, rating tokens]; None without questions.
        embedding: float64[size]; None where not wanted.
    """

    losses: dict[Part, Floats] = field(default_factory=dict)
    entropies: Floats | None = None
    ratings: Floats | None = None
    embedding: Floats | None = None

    @property
    def is_finite(self) -> bool:
        """Whether every number is one."""
        arrays = [*self.losses.values(), self.entropies, self.ratings, self.embedding]
        return all(bool(np.isfinite(array).all()) for array in arrays if array is not None)


class _Wants:
    """Predictions wanted of rows, gathered from many exchanges and read off many passes.

    Attributes:
        logs: float64[n, k], log probabilities of the wanted tokens.
        entropies: float64[n], of the predictions; NaN unless `doubts`.
    """

    def __init__(self, *, doubts: bool = False) -> None:
        self.doubts = doubts
        self._rows: list[Indices] = []
        self._columns: list[Indices] = []
        self._tokens: list[Ids] = []

    def add(self, rows: Indices, columns: Indices, tokens: Ids) -> slice:
        """Want the log probabilities of tokens [n, k] at places [n]; return where they will be."""
        start = sum(map(len, self._rows))
        self._rows.append(rows)
        self._columns.append(columns)
        self._tokens.append(tokens)
        return slice(start, start + len(rows))

    def close(self) -> None:
        """Make ready for reading; nothing can be added after."""
        if self._rows:
            self._row, self._column = np.concatenate(self._rows), np.concatenate(self._columns)
            self._token = np.concatenate(self._tokens)
        else:
            self._row = self._column = np.empty(0, np.int64)
            self._token = np.empty((0, 1), np.int32)
        self.logs = np.full(self._token.shape, np.nan)
        self.entropies = np.full(len(self._token), np.nan)

    def fulfil(self, network: Network, states: States, where: Indices) -> None:
        """Read what is wanted of one pass; `where` has each row's place in it, -1 for none."""
        places = where[self._row]
        here = np.flatnonzero(places >= 0)
        if not len(here):
            return
        chosen, tokens = states.at(places[here], self._column[here]), self._token[here]
        if self.doubts:
            self.logs[here], self.entropies[here] = network.entropies(chosen, tokens)
        else:
            self.logs[here] = network.log_probabilities(chosen, tokens)


def read(
    network: Network,
    exchanges: Sequence[Exchange],
    way: Way,
    *,
    rating_ids: Ids,
    budget: int,
) -> list[Reading]:
    """Run the network over exchanges and return what it says of each.

    Args:
        network: the model.
        exchanges: what to compute.
        way: how to compute branches.
        rating_ids: the tokens that count as ratings.
        budget: padded tokens of one pass, where that is for this function to choose.
    """
    layouts = [way.arrange(exchange.segments) for exchange in exchanges]
    rows = [row for layout in layouts for row in layout.rows]
    counts = np.array([len(layout.rows) for layout in layouts], dtype=np.int64)
    firsts = np.cumsum(counts) - counts
    losses, doubted, ratings = _Wants(), _Wants(doubts=True), _Wants()
    slots = [
        _want(exchange, layout, int(first), losses, doubted, ratings, rating_ids)
        for exchange, layout, first in zip(exchanges, layouts, firsts, strict=True)
    ]
    for wants in (losses, doubted, ratings):
        wants.close()
    embeddings: list[Floats | None] = [None] * len(exchanges)
    for group in _passes(rows, layouts, budget):
        states = network.hidden([rows[row] for row in group], packed=way.packed)
        where = np.full(len(rows), -1, dtype=np.int64)
        where[group] = np.arange(len(group))
        for wants in (losses, doubted, ratings):
            wants.fulfil(network, states, where)
        for number, (exchange, row) in enumerate(zip(exchanges, where[firsts], strict=True)):
            if exchange.embeds and row >= 0:
                prompt = states.span(int(row), *_embedded(exchange)).double()
                embeddings[number] = prompt.mean(dim=0).cpu().numpy()
    return [
        Reading(
            losses={
                part: -(doubted if exchange.doubts and part == "answer" else losses).logs[slot, 0]
                for part, slot in parts.items()
            },
            entropies=doubted.entropies[parts["answer"]] if exchange.doubts else None,
            ratings=None if rated is None else ratings.logs[rated],
            embedding=embedding,
        )
        for exchange, (parts, rated), embedding in zip(exchanges, slots, embeddings, strict=True)
    ]


def _passes(rows: list[Row], layouts: Sequence[Layout], budget: int) -> list[list[int]]:
    """Return the rows of each pass: one pass where the caller's batch is one row per exchange."""
    if len(rows) == len(layouts):
        return [list(range(len(rows)))]
    lengths = [len(row) for row in rows]
    order = sorted(range(len(rows)), key=lambda row: (-lengths[row], row))
    return padded_batches(lengths, order, budget)


def _want(
    exchange: Exchange,
    layout: Layout,
    first: int,
    losses: _Wants,
    doubted: _Wants,
    ratings: _Wants,
    rating_ids: Ids,
) -> tuple[dict[Part, slice], slice | None]:
    """Gather what an exchange wants, and return where the results will be."""
    parts: dict[Part, slice] = {}
    for part, targets in exchange.targets.items():
        rows, columns = layout.predictors(
            targets.segments.astype(np.int64), targets.indices.astype(np.int64)
        )
        wants = doubted if exchange.doubts and part == "answer" else losses
        parts[part] = wants.add(first + rows, columns, targets.tokens[:, None])
    if not exchange.ratings:
        return parts, None
    branches = np.array(exchange.ratings, dtype=np.int64)
    ends = np.array([exchange.segments[branch].path_length for branch in branches], dtype=np.int64)
    rows, columns = layout.predictors(branches, ends)
    tokens = np.broadcast_to(rating_ids, (len(ends), len(rating_ids)))
    return parts, ratings.add(first + rows, columns, tokens)


def _embedded(exchange: Exchange) -> tuple[int, int]:
    """Return the prompt's tokens without the first, whose state is alike in all prompts."""
    first, last = exchange.prompt_span
    return (first + 1 if last - first > 1 else first), last
