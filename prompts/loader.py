"""Read a prompt template and render it.

A template is a Markdown file: front matter with `version` and `variables`, then messages, each
under a line `# system`, `# user` or `# assistant`. A variable is `fenced` (text that the model must
read as data) or `text`, and may be `optional`:

    variables: {prompt: fenced, feedback: "fenced, optional"}

`{{prompt}}` is replaced by the value; `{{#feedback}}...{{/feedback}}` is left out where the value
is empty. A fenced value becomes

    <<<9f86d081884c7d65
    the text
    9f86d081884c7d65>>>

where the 16 digits are the text's own hash, which no text can contain. In the template, lines
between `<<<` and `>>>` are fenced in the same way, for examples. Fenced values stand in user
messages only, never in instructions. Values are inserted literally and never expanded again.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from ..core.chat import Prompt
from ..core.errors import MiddoError
from ..core.ids import content_hash, fence_of

Value = str | Sequence[str]

FENCED = re.compile(r"<<<([0-9a-f]{16})\n(.*?)\n\1>>>", re.DOTALL)
"""What `fenced` makes: the hash, then the text."""

_FRONT = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
_MESSAGE = re.compile(r"^# (system|user|assistant)$\n", re.MULTILINE)
_BLOCK = re.compile(r"\{\{#(\w+)\}\}\n?(.*?)\{\{/\1\}\}\n?", re.DOTALL)
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_EXAMPLE = re.compile(r"^<<<\n(.*?)\n>>>$", re.DOTALL | re.MULTILINE)
_JSON = re.compile(r"[\"{}]")
_SENTENCE = re.compile(r"(?<=[.:])\s+|\n+")
_KINDS = {"fenced", "text", "fenced, optional", "text, optional"}


class PromptError(MiddoError):
    """A template is malformed, or is rendered with other variables than it declares."""


@dataclass(frozen=True, slots=True)
class Template:
    """One prompt file.

    Attributes:
        name: the file's name without `.md`.
        version: counted up by hand when the wording changes.
        variables: name to kind, as the front matter has them.
        hash: SHA-256 of the file's content.
        messages: (role, text with placeholders) pairs.
    """

    name: str
    version: int
    variables: Mapping[str, str]
    hash: str
    messages: tuple[tuple[str, str], ...]

    def render(self, **variables: Value) -> Prompt:
        """Return the prompt with its variables filled in; optional ones may be left out.

        A sequence of texts is fenced one by one.

        Raises:
            PromptError: a variable is missing or unknown, or its value is no text.
        """
        unknown = sorted(set(variables) - set(self.variables))
        if unknown:
            raise PromptError(
                f"prompt {self.name!r} has no variable {', '.join(map(repr, unknown))}; "
                f"it has {', '.join(self.variables)}"
            )
        filled = {name: self._fill(name, variables.get(name)) for name in self.variables}
        messages = tuple((role, _insert(text, filled)) for role, text in self.messages)
        return Prompt(self.name, self.version, self.hash, messages)

    def _fill(self, name: str, value: Value | None) -> str:
        kind = self.variables[name]
        if value is None:
            if kind.endswith("optional"):
                return ""
            raise PromptError(f"prompt {self.name!r} is missing the variable {name!r}")
        texts = [value] if isinstance(value, str) else list(value)
        if not all(isinstance(text, str) for text in texts):
            raise PromptError(f"prompt {self.name!r}: the variable {name!r} is no text")
        texts = [text for text in texts if text or not kind.endswith("optional")]
        return "\n".join(fenced(text) if kind.startswith("fenced") else text for text in texts)


def fenced(text: str) -> str:
    """Return a text between lines that hold its own hash."""
    fence = fence_of(text)
    return f"<<<{fence}\n{text}\n{fence}>>>"


@cache
def examples() -> tuple[str, ...]:
    """Return the texts that stand in the shipped templates as examples, fenced ones and answers."""
    found: dict[str, None] = {}
    for file in files(__package__).iterdir():
        if not file.name.endswith(".md"):
            continue
        front = _FRONT.match(file.read_text(encoding="utf-8"))
        body = front[2] if front else ""
        _, *parts = _MESSAGE.split(body)
        for role, text in zip(parts[::2], parts[1::2], strict=True):
            found.update(dict.fromkeys(_EXAMPLE.findall(text)))
            if role == "assistant":
                values = json.loads(text).values()
                found.update(dict.fromkeys(v for v in values if isinstance(v, str) and " " in v))
    return tuple(sorted(found))


@cache
def sentences() -> tuple[str, ...]:
    """Return the sentences of the instructions in the shipped templates, those in JSON left out.

    They stand in the system turn, and in the user's around the fenced texts. A model that is talked
    into it hands them back; whoever checks texts has to know them.
    """
    found: dict[str, None] = {}
    for file in files(__package__).iterdir():
        if not file.name.endswith(".md"):
            continue
        for role, text in load(file.name[:-3]).messages:
            if role != "assistant":
                parts = _SENTENCE.split(_PLACE.sub("\n", FENCED.sub("\n", text)))
                found.update(dict.fromkeys(p for p in parts if " " in p and not _JSON.search(p)))
    return tuple(sorted(found))


@cache
def load(name: str) -> Template:
    """Return the shipped template of this name.

    Raises:
        PromptError: there is none.
    """
    home = files(__package__)
    entry = home / f"{name}.md"
    if not entry.is_file():
        known = sorted(file.name[:-3] for file in home.iterdir() if file.name.endswith(".md"))
        raise PromptError(f"no prompt {name!r}; there are {', '.join(known)}")
    return parse(name, entry.read_text(encoding="utf-8"))


def parse(name: str, content: str) -> Template:
    """Return the template that a file's content describes.

    Raises:
        PromptError: it is malformed; the message says how.
    """
    front = _FRONT.match(content)
    if front is None:
        raise PromptError(f"prompt {name!r} does not begin with front matter between --- lines")
    head = yaml.safe_load(front[1])
    if not isinstance(head, dict) or not isinstance(head.get("version"), int):
        raise PromptError(f"prompt {name!r}: the front matter needs a whole number `version`")
    variables = head.get("variables") or {}
    for variable, kind in variables.items():
        if kind not in _KINDS:
            raise PromptError(f"prompt {name!r}: variable {variable!r} is {kind!r}, not {_KINDS}")
    before, *parts = _MESSAGE.split(front[2])
    if before.strip() or not parts:
        raise PromptError(f"prompt {name!r}: text must stand under # system, # user or # assistant")
    pairs = zip(parts[::2], parts[1::2], strict=True)
    messages = tuple((role, _EXAMPLE.sub(_fence_example, text.strip())) for role, text in pairs)
    _check_places(name, variables, messages)
    return Template(name, head["version"], variables, content_hash(content), messages)


def _check_places(
    name: str, variables: Mapping[str, str], messages: tuple[tuple[str, str], ...]
) -> None:
    used: set[str] = set()
    for role, text in messages:
        places = set(_PLACE.findall(text)) | {block[0] for block in _BLOCK.findall(text)}
        for place in sorted(places):
            if place not in variables:
                raise PromptError(f"prompt {name!r} uses {place!r} without declaring it")
            if variables[place].startswith("fenced") and role != "user":
                raise PromptError(f"prompt {name!r}: {place!r} is fenced and stands in {role!r}")
        used |= places
    for variable in variables:
        if variable not in used:
            raise PromptError(f"prompt {name!r} declares {variable!r} without using it")


def _fence_example(match: re.Match[str]) -> str:
    return fenced(match[1])


def _insert(text: str, filled: Mapping[str, str]) -> str:
    """Replace blocks, then placeholders in one pass: what is inserted is not looked at again."""
    shown = _BLOCK.sub(lambda block: block[2] if filled[block[1]] else "", text)
    return _PLACE.sub(lambda place: filled[place[1]], shown).strip()
