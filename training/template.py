"""How a chat template writes a conversation, and where in the text each turn's content stands.

Templates insert system turns, trim contents and treat the last turn differently, and few say which
text is the model's. So the positions are measured: the conversation is rendered once more with
marks in place of the contents, and what stands between the marks is the template's own text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Turn = tuple[str, str]
"""A role and its text."""

PLAIN = (
    "{% for message in messages %}"
    "{{ '### ' + message['role'] | capitalize + ':\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{{ '\n\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Assistant:\n' }}{% endif %}"
)
"""The shipped template for tokenizers that have none: headed paragraphs."""


class TemplateRefused(Exception):
    """The template can't write the conversation, or writes it so that contents can't be found."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as text.

    Attributes:
        text: what the tokenizer gets.
        contents: per turn the start and end of its content in `text`, characters.
    """

    text: str
    contents: tuple[tuple[int, int], ...]


class ChatTemplate:
    """A tokenizer's chat template, or the plain one.

    Attributes:
        name: `tokenizer` or `plain`; part of every cache key that depends on the text.
        source: the Jinja text, for a tokenizer that is saved with a model.
    """

    def __init__(self, tokenizer: Any, wanted: str) -> None:
        """Choose: `wanted` is `auto` or `plain`."""
        self._tokenizer = tokenizer
        own = wanted == "auto" and tokenizer.chat_template is not None
        self.name = "tokenizer" if own else "plain"
        self.source: str = tokenizer.get_chat_template() if own else _plain(tokenizer)

    def render(self, turns: Sequence[Turn], generate: bool = False) -> Rendered:
        """Write the turns, `generate` with the header of an answer, and find each one's content.

        Raises:
            TemplateRefused: in words, what the template does with these turns.
        """
        pieces = self.pieces([role for role, _ in turns], generate)
        text = self._write(turns, generate)
        if not text.startswith(pieces[0]):
            raise TemplateRefused("the template changes its own text with the content")
        position = len(pieces[0])
        contents: list[tuple[int, int]] = []
        for (role, content), after in zip(turns, pieces[1:], strict=True):
            for variant in (content, content.strip(), content.rstrip(), content.lstrip()):
                if text.startswith(variant + after, position):
                    contents.append((position, position + len(variant)))
                    position += len(variant) + len(after)
                    break
            else:
                raise TemplateRefused(f"the template changes the content of the {role} turn")
        if position != len(text):
            raise TemplateRefused("the template changes its own text with the content")
        return Rendered(text, tuple(contents))

    def pieces(self, roles: Sequence[str], generate: bool = False) -> list[str]:
        """Return the template's own text before, between and after the contents of such turns.

        Raises:
            TemplateRefused: the template refuses the roles or writes a content not exactly once.
        """
        marks = [f"mark{index}here" for index in range(len(roles))]
        rest = self._write(list(zip(roles, marks, strict=True)), generate)
        pieces = []
        for role, mark in zip(roles, marks, strict=True):
            before, found, rest = rest.partition(mark)
            if not found or mark in rest:
                raise TemplateRefused(f"the template does not write a {role} turn exactly once")
            pieces.append(before)
        return [*pieces, rest]

    def _write(self, turns: Sequence[Turn], generate: bool = False) -> str:
        from jinja2.exceptions import TemplateError

        try:
            text: str = self._tokenizer.apply_chat_template(
                [{"role": role, "content": content} for role, content in turns],
                chat_template=self.source,
                tokenize=False,
                add_generation_prompt=generate,
            )
        except (TemplateError, ValueError, TypeError, KeyError, IndexError) as error:
            raise TemplateRefused(str(error).strip() or type(error).__name__) from error
        return text


def _plain(tokenizer: Any) -> str:
    """Return the plain template, with the start token where the tokenizer itself sets one."""
    starts = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
    return "{{ bos_token }}" + PLAIN if starts else PLAIN
