"""What a prompt quotes must stay word for word: quotations, addresses, code."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..core.records import Proposal, Verdict
from .context import CheckContext, prompt_unchanged
from .words import contains_words, named, plain_quotes, words

_QUOTED = re.compile(
    r"""
    “([^“”]{1,2000})”  | „([^„“”]{1,2000})[“”] | «([^«»]{1,2000})» | »([^«»]{1,2000})«
    | ‹([^‹›]{1,500})› | 「([^「」]{1,500})」 | 『([^『』]{1,500})』
    | (?<![^\W_])‘([^‘\n]{1,500}?)’(?![^\W_])
    | (?<![^\s(\[{:=,/—–-])"((?!\s)(?:(?!\n\s*\n)[^"]){1,2000}?)"
    | (?<![^\s(\[{:=,/—–-])'((?!\s)[^\n]{1,300}?)(?<!\s)'(?![^\W_])
    """,
    re.VERBOSE,
)
_URL = re.compile(r"(?:https?|ftp)://[^\s<>\"'“”«»`|\\^{}]+|www\.[^\s<>\"'“”«»`|\\^{}]+", re.I)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_FENCE = re.compile(r"(?m)^[ \t]*(`{3,}|~{3,})([`~]*[ \t]*$)?")
"""The line that opens a fenced block; one without further words can also close it."""
MASK = 0xE000
"""First code point of the private use area, which stands for quotations in `masked`."""

_SIGNS = re.compile("[\ue000-\uf8ff]")
_MOST_MASKS = 0xF8FF - MASK + 1

_OPENING = {")": "(", "]": "["}
_INLINE = re.compile(r"(?<!`)(`+)(?!`)([^\n]{1,200}?)(?<!`)\1(?!`)")


def quotations(text: str) -> list[str]:
    """Return the quoted strings of a text without their marks; code is no quotation."""
    return _unique(
        next(filter(None, match.groups())).strip() for match in _QUOTED.finditer(without_code(text))
    )


def addresses(text: str) -> list[str]:
    """Return the URLs and e-mail addresses of a text, without the sentence's punctuation."""
    urls = []
    if "://" in text or "www." in text.casefold():
        urls = [_bare(match[0]) for match in _URL.finditer(text)]
        text = _URL.sub(" ", text)
    mails = [match[0].rstrip(".-") for match in _EMAIL.finditer(text)] if "@" in text else []
    return _unique([*urls, *mails])


def code_spans(text: str) -> list[str]:
    """Return the contents of fenced blocks and inline code spans."""
    blocks = _fenced(text)
    fenced = [text[block.begin : block.end].strip("\n") for block in blocks]
    inline = [match[2].strip() for match in _INLINE.finditer(_without(blocks, text))]
    return _unique([*fenced, *inline])


def without_code(text: str) -> str:
    """Return a text without its fenced blocks and inline code spans."""
    if "`" not in text and "~~~" not in text:
        return text
    return _INLINE.sub(" ", _without(_fenced(text), text))


def masked(text: str) -> tuple[str, list[str]]:
    """Return a text with the n-th quotation replaced by the private sign `MASK + n`, and them all.

    What is quoted is material, not instruction; masked, it can still be named. Private signs that
    the text holds itself give way; quotations beyond the 6,400 signs stay as they are.
    """
    found: list[str] = []

    def mask(match: re.Match[str]) -> str:
        if len(found) == _MOST_MASKS:
            return match[0]
        found.append(next(filter(None, match.groups())).strip())
        return chr(MASK + len(found) - 1)

    return _QUOTED.sub(mask, _SIGNS.sub("\ufffd", without_code(text))), found


def unmasked(text: str, quoted: list[str]) -> str:
    """Return a masked text with its quotations in straight marks."""
    return _SIGNS.sub(lambda sign: f'"{quoted[ord(sign[0]) - MASK]}"', text)


def check_quotes(proposal: Proposal, context: CheckContext) -> Verdict:
    """Hold the proposed prompt to the quotations of the original one.

    The words must be there in their order; other marks, case or punctuation are no difference.
    Quoted signs without a word in them are compared as they are.
    """
    said = words(proposal.prompt)
    plain = plain_quotes(proposal.prompt)

    def kept(quoted: str) -> bool:
        spoken = words(quoted)
        return contains_words(said, spoken) if spoken else plain_quotes(quoted) in plain

    return _check("quotes", "quotations", quotations, kept, proposal, context)


def check_urls(proposal: Proposal, context: CheckContext) -> Verdict:
    """Hold the proposed prompt to the URLs and e-mail addresses of the original one."""
    new = {address.casefold() for address in addresses(proposal.prompt)}
    return _check(
        "urls",
        "addresses",
        addresses,
        lambda address: address.casefold() in new,
        proposal,
        context,
    )


def check_code(proposal: Proposal, context: CheckContext) -> Verdict:
    """Hold the proposed prompt to the code of the original one; white space may differ."""
    flat = "".join(proposal.prompt.split())
    return _check(
        "code",
        "pieces of code",
        code_spans,
        lambda code: "".join(code.split()) in flat,
        proposal,
        context,
    )


def _check(
    name: str,
    noun: str,
    find: Callable[[str], list[str]],
    kept: Callable[[str], bool],
    proposal: Proposal,
    context: CheckContext,
) -> Verdict:
    if prompt_unchanged(proposal):
        return Verdict(name, True, {"unchanged": True})
    details = find(proposal.parent.prompt)
    lost = [detail for detail in details if not kept(detail)]
    excused = [detail for detail in lost if context.excuses(proposal, detail)]
    lost = [detail for detail in lost if detail not in excused]
    numbers = {"details": len(details), "lost": lost, "dropped": excused}
    reason = f"Keep these {noun} of the prompt word for word: {named(lost)}." if lost else ""
    return Verdict(name, not lost, numbers, reason)


@dataclass(frozen=True, slots=True)
class _Block:
    """A fenced block: where its first line starts, its content begins and ends, and it ends."""

    start: int
    begin: int
    end: int
    stop: int


def _fenced(text: str) -> list[_Block]:
    """Return the fenced blocks of a text in order.

    A block ends at the first line of as many marks as it opened with, or, where none has so many,
    of the most that one has. Each line is looked at a few times, however many fences stay open.
    """
    lines = list(_FENCE.finditer(text))
    most = {"`": 0, "~": 0}
    after: list[int] = []  # the most marks of a closing line of the same kind further on
    for line in reversed(lines):
        mark = line[1][0]
        after.append(most[mark])
        if line[2] is not None:
            most[mark] = max(most[mark], len(line[1]))
    after.reverse()
    blocks: list[_Block] = []
    index = 0
    while index < len(lines):
        line, fewest = lines[index], min(len(lines[index][1]), after[index])
        index += 1
        if not fewest:
            continue
        while True:
            last = lines[index]
            index += 1
            if last[2] is not None and last[1][0] == line[1][0] and len(last[1]) >= fewest:
                break
        begin = text.index("\n", line.end()) + 1
        blocks.append(_Block(line.start(), begin, last.start(), last.end()))
    return blocks


def _without(blocks: list[_Block], text: str) -> str:
    kept, done = [], 0
    for block in blocks:
        kept += [text[done : block.start], "\n"]
        done = block.stop
    return "".join([*kept, text[done:]])


def _bare(url: str) -> str:
    url = url.rstrip(".,;:!?*_'’…")
    # A bracket closes the sentence's, not the address's, where it wasn't opened in the address.
    surplus = {last: url.count(last) - url.count(first) for last, first in _OPENING.items()}
    end = len(url)
    while end and surplus.get(url[end - 1], 0) > 0:
        surplus[url[end - 1]] -= 1
        end -= 1
        while end and url[end - 1] in ".,;:!?":
            end -= 1
    return url[:end]


def _unique(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(item for item in found if item))
