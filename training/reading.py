"""Reads off the network what exchanges want: token losses, rating probabilities, embeddings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .exchange import Exchange, Part, Target
from .layout import Layout, Row, Segment, batches
from .network import Network

Floats = npt.NDArray[np.float64]
Arrange = Callable[[Sequence[Segment]], Layout]


@dataclass(slots=True)
class Reading:
    """What the network says of one exchange.

    Attributes:
        losses: per part of the exchange, nats per token.
        ratings: log probabilities [questions, rating tokens]; None without questions.
        embedding: float64[size]; None where not wanted.
    """

    losses: dict[Part, Floats] = field(default_factory=dict)
    ratings: Floats | None = None
    embedding: Floats | None = None

    @property
    def is_finite(self) -> bool:
        """Whether every number is one."""
        arrays = [*self.losses.values(), self.ratings, self.embedding]
        return all(bool(np.isfinite(array).all()) for array in arrays if array is not None)


@dataclass(slots=True)
class _Wants:
    """Predictions wanted from one pass: where, and which tokens."""

    places: list[tuple[int, int]] = field(default_factory=list)
    tokens: list[list[int]] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    """Where each result goes: (array, index)."""


def read(
    network: Network,
    exchanges: Sequence[Exchange],
    arrange: Arrange,
    *,
    rating_ids: Sequence[int],
    budget: int,
) -> list[Reading]:
    """Run the network over exchanges.

    Args:
        network: the model.
        exchanges: what to compute.
        arrange: `layout.fused` or `layout.separate`.
        rating_ids: the tokens that count as ratings.
        budget: padded tokens of one pass, where that is for this function to choose.
    """
    layouts = [arrange(exchange.segments) for exchange in exchanges]
    readings = [Reading() for _ in exchanges]
    rows: list[Row] = []
    first_rows = []
    for layout in layouts:
        first_rows.append(len(rows))
        rows.extend(layout.rows)
    losses, ratings = _Wants(), _Wants()
    for exchange, layout, first, reading in zip(
        exchanges, layouts, first_rows, readings, strict=True
    ):
        _want(exchange, layout, first, reading, losses, ratings, rating_ids)
    trunks = {first: number for number, first in enumerate(first_rows)}
    for group in _passes(rows, layouts, budget):
        states = network.hidden([rows[row] for row in group])
        where = {row: position for position, row in enumerate(group)}
        for wants in (losses, ratings):
            _fulfil(network, states, where, wants)
        for row in group:
            number = trunks.get(row)
            if number is not None and exchanges[number].embeds:
                span = _embedded(exchanges[number])
                prompt = states[where[row], span].double()
                readings[number].embedding = prompt.mean(dim=0).cpu().numpy()
    return readings


def _passes(rows: list[Row], layouts: Sequence[Layout], budget: int) -> list[list[int]]:
    """Return the rows of each pass: one pass where the caller's batch is one row per exchange."""
    if len(rows) == len(layouts):
        return [list(range(len(rows)))]
    lengths = [len(row.ids) for row in rows]
    order = sorted(range(len(rows)), key=lambda row: (-lengths[row], row))
    return batches(lengths, order, budget)


def _want(
    exchange: Exchange,
    layout: Layout,
    first: int,
    reading: Reading,
    losses: _Wants,
    ratings: _Wants,
    rating_ids: Sequence[int],
) -> None:
    def place(segment: int, index: int) -> tuple[int, int]:
        row, column = layout.predictor(segment, index)
        return first + row, column

    for part, targets in exchange.targets.items():
        reading.losses[part] = np.full(len(targets), np.nan)
        for number, target in enumerate(targets):
            _add(losses, place(target.segment, target.index), target, reading.losses[part], number)
    if exchange.ratings:
        reading.ratings = np.full((len(exchange.ratings), len(rating_ids)), np.nan)
        for number, segment in enumerate(exchange.ratings):
            ratings.places.append(place(segment, exchange.segments[segment].path_length))
            ratings.tokens.append(list(rating_ids))
            ratings.values.append((reading.ratings, number))


def _add(
    losses: _Wants, place: tuple[int, int], target: Target, array: Floats, number: int
) -> None:
    losses.places.append(place)
    losses.tokens.append([target.token])
    losses.values.append((array, number))


def _fulfil(network: Network, states: Any, where: dict[int, int], wants: _Wants) -> None:
    here = [number for number, (row, _) in enumerate(wants.places) if row in where]
    if not here:
        return
    rows = [where[wants.places[number][0]] for number in here]
    columns = [wants.places[number][1] for number in here]
    found = network.log_probabilities(states[rows, columns], [wants.tokens[n] for n in here])
    for number, logs in zip(here, found, strict=True):
        array, index = wants.values[number]
        array[index] = logs if array.ndim == 2 else -logs[0]


def _embedded(exchange: Exchange) -> slice:
    """Return the prompt's tokens without the first, whose state is alike in all prompts."""
    first, last = exchange.prompt_span
    return slice(first + 1 if last - first > 1 else first, last)
