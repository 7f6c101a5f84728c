"""What to compute of one conversation: the trunk, its branches, and the tokens whose loss counts.

Branches are rating questions after the prompt and after the answer; the answer alone, after an
empty user turn; and the prompt as an assistant turn after the answer as a user turn. The last two
share their first tokens (a system turn, the header of the user turn) with the trunk.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..core.measures import Ask, Item
from .layout import Ids, Segment, shared_prefix
from .questions import Questions
from .tokens import Encoded, Span, Tokens, Unscored

RUN = 3
"""Prompt tokens in a run of so many that the answer repeats count in no mean."""
LOOP = 5
"""Lists and tables repeat shorter runs without going round."""
STEPS = range(LOOP)

Part = Literal["answer", "end", "alone", "prompt", "reverse"]


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Tokens whose loss is wanted.

    Attributes:
        segments: int32[n], the segment whose path each is on.
        indices: int32[n], its place in that path.
        tokens: int32[n], the token.
    """

    segments: Ids
    indices: Ids
    tokens: Ids

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.tokens)


@dataclass(slots=True)
class Exchange:
    """One conversation, ready to be laid out.

    Attributes:
        segments: the trunk first.
        prompt_span: the prompt's content tokens in the trunk.
        answer_tokens: content tokens of the answer.
        copied: share of the prompt's content tokens that the answer repeats in runs.
        looped: share of the answer's content tokens in runs that stand in it repeatedly.
        targets: tokens whose loss is wanted, by what they are for.
        ratings: the segments of the rating questions, in the order of `RATINGS`; those of the
            prompt can be missing.
        embeds: whether the prompt's embedding is wanted.
        doubts: whether the entropies of the answer's predictions are wanted.
    """

    segments: list[Segment]
    prompt_span: Span
    answer_tokens: int
    copied: float
    looped: float
    targets: dict[Part, Targets]
    ratings: list[int] = field(default_factory=list)
    embeds: bool = False
    doubts: bool = False

    @property
    def length(self) -> int:
        """Tokens of all segments together."""
        return sum(len(segment.ids) for segment in self.segments)

    def add(self, ids: Sequence[int], after: int) -> int:
        """Hang a branch on the trunk and return its number."""
        self.segments.append(_segment(ids, after))
        return len(self.segments) - 1


def build_exchange(
    tokens: Tokens,
    item: Item,
    asks: frozenset[Ask],
    *,
    questions: Questions | None,
    context: int,
) -> Exchange:
    """Encode a conversation with the branches that `asks` need.

    Args:
        tokens: the encoder of the model.
        item: the conversation.
        asks: what to measure beside the answer's loss.
        questions: None where the model's template can't ask them: then there are no ratings.
        context: the longest path that the model takes.

    Raises:
        Unscored: the conversation can't be encoded, or a path is longer than the model's context.
    """
    trunk = tokens.encode(item.messages)
    first, last = trunk.prompt_span
    if first == last:
        raise Unscored("no_prompt")
    answer = _targets(trunk, 0, range(*trunk.answer_span))
    end = _targets(trunk, 0, [] if trunk.end_index is None else [trunk.end_index])
    kept = unrepeated(trunk)
    exchange = Exchange(
        segments=[_segment(trunk.input_ids)],
        prompt_span=trunk.prompt_span,
        answer_tokens=len(answer),
        copied=1 - len(kept) / (last - first),
        looped=looped(trunk.input_ids[slice(*trunk.answer_span)]),
        targets={"answer": answer, "end": end},
        embeds="embedding" in asks,
        doubts="alone" in asks,  # the pass that reads more of the answer than its loss
    )
    if "alone" in asks:
        _add_alone(exchange, tokens, item, trunk)
    if "reverse" in asks:
        _add_reverse(exchange, tokens, item, trunk, kept)
    elif "prompt" in asks:
        exchange.targets["prompt"] = _targets(trunk, 0, kept)
    if questions is not None and "ratings" in asks:
        for ids in questions.after_prompt(trunk.prompt_rest):
            exchange.ratings.append(exchange.add(ids, trunk.prompt_end))
    if questions is not None and asks & {"ratings", "answer_ratings"}:
        for ids in questions.after_answer:
            exchange.ratings.append(exchange.add(ids, len(trunk.input_ids)))
    if max(segment.path_length for segment in exchange.segments) > context:
        raise Unscored("too_long")
    return exchange


def _add_alone(exchange: Exchange, tokens: Tokens, item: Item, trunk: Encoded) -> None:
    answer = item.messages[-1].content
    alone = tokens.encode_roles([*_system(item), ("user", ""), ("assistant", answer)])
    branch = _hang(exchange, trunk, alone)
    exchange.targets["alone"] = _targets(alone, branch, range(*alone.answer_span))


def _add_reverse(
    exchange: Exchange, tokens: Tokens, item: Item, trunk: Encoded, kept: Sequence[int]
) -> None:
    answer = item.messages[-1].content
    prompt = next(m.content for m in reversed(item.messages) if m.role == "user")
    turned = tokens.encode_roles([*_system(item), ("user", answer), ("assistant", prompt)])
    branch = _hang(exchange, trunk, turned)
    # A token at the edge of a content can be cut differently in another turn: both means are over
    # the tokens that are the same in both.
    here = {_cut(turned, index): index for index in range(*turned.answer_span)}
    both = [(index, here[_cut(trunk, index)]) for index in kept if _cut(trunk, index) in here]
    exchange.targets["prompt"] = _targets(trunk, 0, [index for index, _ in both])
    exchange.targets["reverse"] = _targets(turned, branch, [index for _, index in both])


def unrepeated(trunk: Encoded) -> list[int]:
    """Return the prompt's content tokens outside of runs that the answer repeats."""
    answer = trunk.input_ids[slice(*trunk.answer_span)]
    runs = {tuple(answer[i : i + RUN]) for i in range(len(answer) - RUN + 1)}
    first, last = trunk.prompt_span
    repeated: set[int] = set()
    for index in range(first, last - RUN + 1):
        if tuple(trunk.input_ids[index : index + RUN]) in runs:
            repeated.update(range(index, index + RUN))
    return [index for index in range(first, last) if index not in repeated]


def looped(answer: Sequence[int]) -> float:
    """Return the share of tokens in runs of five or more that stand in the answer repeatedly."""
    runs = [tuple(answer[start : start + LOOP]) for start in range(len(answer) - LOOP + 1)]
    counts = Counter(runs)
    again = {start + step for start, run in enumerate(runs) if counts[run] > 1 for step in STEPS}
    return len(again) / len(answer)


def _system(item: Item) -> list[tuple[str, str]]:
    first = item.messages[0]
    return [("system", first.content)] if first.role == "system" else []


def _hang(exchange: Exchange, trunk: Encoded, path: Encoded) -> int:
    after = min(shared_prefix(trunk.input_ids, path.input_ids), len(path.input_ids) - 1)
    return exchange.add(path.input_ids[after:], after)


def _cut(encoded: Encoded, index: int) -> tuple[int, int, int]:
    return (*encoded.offsets[index], encoded.input_ids[index])


def _segment(ids: Sequence[int], after: int = 0) -> Segment:
    return Segment(np.asarray(ids, dtype=np.int32), after)


def _targets(encoded: Encoded, segment: int, indices: Sequence[int]) -> Targets:
    # The very first token has nothing before it that could predict it.
    places = np.array([index for index in indices if index > 0], dtype=np.int32)
    tokens = np.asarray(encoded.input_ids, dtype=np.int32)[places]
    return Targets(np.full_like(places, segment), places, tokens)
