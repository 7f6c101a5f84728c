"""From a conversation to token ids, labels and spans: the one path of training and scoring.

A scorer that builds its text in another way than the trainer did measures losses that were never
trained on. So both call `Tokens.encode`. Supervised are the content of every assistant turn and the
token that ends the turn; nothing else, not even the newline that a template puts after that token.

Special tokens inside a content (`<|im_end|>` typed by a user) stay text: they must not be able to
open a turn of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..core.errors import ModelError
from ..core.records import Message
from .template import ChatTemplate, Rendered, TemplateRefused, Turn

IGNORED = -100
"""The label of a token that is not trained on."""

Span = tuple[int, int]
"""Token positions: first, and one past the last."""


class Unscored(Exception):
    """A conversation that can be neither scored nor trained on; `reason` is stored with it."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Encoded:
    """A conversation as tokens.

    Attributes:
        input_ids: the whole conversation.
        labels: the same ids where supervised, -100 elsewhere.
        prompt_span: content tokens of the last user turn before the final assistant turn.
        answer_span: content tokens of the final assistant turn.
        end_index: position of the token that ends the final turn; None where the template has none.
        prompt_end: tokens up to the end of the prompt's user turn, its closing text included.
        prompt_rest: closing text of that turn that shares a token with what follows; mostly empty.
        offsets: per token, first and last character within the content it belongs to; (0, 0) for
            the template's tokens.
    """

    input_ids: list[int]
    labels: list[int]
    prompt_span: Span
    answer_span: Span
    end_index: int | None
    prompt_end: int
    prompt_rest: str
    offsets: list[tuple[int, int]]

    @property
    def supervised(self) -> int:
        """Number of tokens that are trained on."""
        return sum(label != IGNORED for label in self.labels)


class Tokens:
    """Encodes conversations for one tokenizer, template and length."""

    def __init__(
        self, tokenizer: Any, template: Literal["auto", "plain"] = "auto", max_length: int = 1024
    ) -> None:
        """Prepare for encoding.

        Args:
            tokenizer: a fast tokenizer of transformers.
            template: `auto` is the tokenizer's own chat template, or the plain one where it has
                none; `plain` is always the plain one.
            max_length: tokens; longer conversations are unscored, never cut.

        Raises:
            ModelError: the tokenizer can't tell where in the text a token stands.
        """
        if not getattr(tokenizer, "is_fast", False):
            raise ModelError(
                f"model.base: the tokenizer {type(tokenizer).__name__!r} gives no offsets;"
                " use a model with a tokenizer.json"
            )
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.template = ChatTemplate(tokenizer, template)
        added = tokenizer.added_tokens_decoder
        self._control_ids = frozenset(added) | frozenset(tokenizer.all_special_ids)
        self._control_texts = sorted(
            {token.content for token in added.values() if token.special}
            | set(tokenizer.all_special_tokens)
        )
        self._user_close = self._closing("user")

    @property
    def template_name(self) -> str:
        """`tokenizer` or `plain`."""
        return self.template.name

    def ends(self) -> frozenset[int]:
        """Return the tokenizer's end token, and the one that ends an answer in the template."""
        example = self.encode_roles([("user", "a"), ("assistant", "b")])
        turn = None if example.end_index is None else example.input_ids[example.end_index]
        return frozenset(end for end in (self.tokenizer.eos_token_id, turn) if end is not None)

    def encode(self, messages: Sequence[Message]) -> Encoded:
        """Encode a conversation that ends with an assistant turn.

        Raises:
            Unscored: `too_long`, `template: ...`, `control_tokens`, `no_answer`, or `no_prompt`.
        """
        encoded = self.encode_roles([(message.role, message.content) for message in messages])
        if len(encoded.input_ids) > self.max_length:
            raise Unscored("too_long")
        return encoded

    def encode_roles(self, turns: Sequence[Turn]) -> Encoded:
        """Encode (role, text) pairs of any length; else as `encode`."""
        answer = len(turns) - 1
        prompt = max((i for i, (role, _) in enumerate(turns) if role == "user"), default=-1)
        if answer < 0 or turns[answer][0] != "assistant":
            raise Unscored("no_answer")
        if prompt < 0:
            raise Unscored("no_prompt")
        try:
            rendered = self.template.render(turns)
        except TemplateRefused as error:
            raise Unscored(f"template: {error}") from error
        ids, places = self._tokenize(rendered, turns)
        spans = [_inside(places, rendered.text, *content) for content in rendered.contents]
        if spans[answer][0] == spans[answer][1]:
            raise Unscored("no_answer")
        labels = [IGNORED] * len(ids)
        end: int | None = None
        for index, (role, _) in enumerate(turns):
            if role != "assistant":
                continue
            limit = rendered.contents[index + 1][0] if index < answer else len(rendered.text)
            end = self._end_of_turn(ids, places, rendered, rendered.contents[index][1], limit)
            supervised = [*range(*spans[index]), *([] if end is None else [end])]
            for position in supervised:
                labels[position] = ids[position]
        prompt_end, prompt_rest = self._close(places, rendered, rendered.contents[prompt][1])
        return Encoded(
            input_ids=ids,
            labels=labels,
            prompt_span=spans[prompt],
            answer_span=spans[answer],
            end_index=end,
            prompt_end=prompt_end,
            prompt_rest=prompt_rest,
            offsets=_relative(places, spans, rendered.contents),
        )

    def encode_prompt(self, turns: Sequence[Turn]) -> list[int]:
        """Return the ids of (role, text) pairs up to the header of the answer to come, any length.

        Raises:
            Unscored: `template: ...`, `control_tokens` or `not_unicode`.
        """
        try:
            rendered = self.template.render(turns, generate=True)
        except TemplateRefused as error:
            raise Unscored(f"template: {error}") from error
        return self._tokenize(rendered, turns)[0]

    def encode_text(self, text: str) -> list[int]:
        """Return the ids of a piece of rendered text, in which special tokens are meant."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def follow_up(self, question: str) -> str:
        """Return the text of a user turn that asks `question`, and the header of its answer.

        The turn is taken from a conversation in which it follows an assistant turn, as templates
        refuse two user turns in a row.

        Raises:
            Unscored: the template refuses a second user turn.
        """
        try:
            pieces = self.template.pieces(["user", "assistant", "user"], generate=True)
        except TemplateRefused as error:
            raise Unscored(f"template: {error}") from error
        return pieces[2].removeprefix(self._closing("user", "assistant")) + question + pieces[3]

    def _closing(self, *roles: str) -> str:
        """Return what the template writes after the content of the last of such turns."""
        try:
            return self.template.pieces(roles)[-1]
        except TemplateRefused as error:
            raise ModelError(
                f"model.template: the tokenizer's chat template refuses a {roles[-1]} turn"
                f" ({error}); set model.template to 'plain'"
            ) from error

    def _tokenize(self, rendered: Rendered, turns: Sequence[Turn]) -> tuple[list[int], list[Span]]:
        """Return ids, and per token its first and last character in the text."""
        hidden = any(text in content for _, content in turns for text in self._control_texts)
        try:
            if not hidden:
                return self._piece(rendered.text, 0, split=False)
            ids, places = [], []
            for start, end, split in _pieces(rendered):
                more, where = self._piece(rendered.text[start:end], start, split=split)
                ids += more
                places += where
        except TypeError as error:  # lone surrogates, which a JSON file can hold
            raise Unscored("not_unicode") from error
        # Some tokenizers mark the start of each piece with a token or a space of their own.
        if self.tokenizer.decode(ids, clean_up_tokenization_spaces=False) != rendered.text:
            raise Unscored("control_tokens")
        return ids, places

    def _piece(self, text: str, start: int, *, split: bool) -> tuple[list[int], list[Span]]:
        coded = self.tokenizer(
            text,
            add_special_tokens=False,
            return_offsets_mapping=True,
            split_special_tokens=split,
            verbose=False,
        )
        places = [(start + first, start + last) for first, last in coded["offset_mapping"]]
        return list(coded["input_ids"]), places

    def _end_of_turn(
        self, ids: list[int], places: list[Span], rendered: Rendered, start: int, limit: int
    ) -> int | None:
        """Return the position of the special token right after a content, spaces ignored."""
        for position, (first, last) in enumerate(places):
            if first < start:
                continue
            if last > limit:
                return None
            if ids[position] in self._control_ids:
                return position
            if rendered.text[first:last].strip():
                return None
        return None

    def _close(self, places: list[Span], rendered: Rendered, content_end: int) -> tuple[int, str]:
        """Return the tokens up to the end of the prompt's turn, and text cut off a shared token."""
        text, close = rendered.text, self._user_close
        follows = text.startswith(close, content_end)
        boundary = content_end + len(close) if follows else content_end
        count = sum(last <= boundary for _, last in places)
        covered = max((last for _, last in places[:count]), default=0)
        return count, text[covered:boundary] + ("" if follows else close)


def _pieces(rendered: Rendered) -> list[tuple[int, int, bool]]:
    """Cut the text at the contents: start, end, and whether it is content."""
    pieces = []
    position = 0
    for start, end in rendered.contents:
        pieces += [(position, start, False), (start, end, True)]
        position = end
    pieces.append((position, len(rendered.text), False))
    return [piece for piece in pieces if piece[0] < piece[1]]


def _inside(places: list[Span], text: str, start: int, end: int) -> Span:
    """Return the tokens of a content. One that reaches into the template's text is none of them.

    Whitespace in front of a token's first character does not count: tokenizers join a space that
    the template wrote to the first word of the content.
    """
    inside = [
        position
        for position, (first, last) in enumerate(places)
        if first < end and last <= end and last > start and start <= _visible(text, first, last)
    ]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _visible(text: str, first: int, last: int) -> int:
    piece = text[first:last]
    return first + len(piece) - len(piece.lstrip()) if piece.strip() else first


def _relative(
    places: list[Span], spans: list[Span], contents: tuple[Span, ...]
) -> list[tuple[int, int]]:
    relative = [(0, 0)] * len(places)
    for span, (start, _) in zip(spans, contents, strict=True):
        for position in range(*span):
            first, last = places[position]
            relative[position] = (max(first - start, 0), last - start)
    return relative
