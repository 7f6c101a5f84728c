"""What a prompt quotes must stay word for word: quotations, addresses, code."""

import re
from collections.abc import Callable, Iterable

from ..core.records import Proposal, Verdict
from .context import CheckContext, prompt_unchanged
from .words import contains_words, named, plain_quotes, words

_QUOTED = re.compile(
    r"""
    “([^“”]{1,2000})”  | „([^„“”]{1,2000})[“”] | «\s*([^«»]{1,2000}?)\s*» | »([^«»]{1,2000})«
    | ‹\s*([^‹›]{1,500}?)\s*› | 「([^「」]{1,500})」 | 『([^『』]{1,500})』
    | (?<![^\W_])‘([^‘\n]{1,500}?)’(?![^\W_])
    | (?<![^\s(\[{:=,/—–-])"((?!\s)(?:(?!\n\s*\n)[^"]){1,2000}?)"
    | (?<![^\s(\[{:=,/—–-])'((?!\s)[^\n]{1,300}?)(?<!\s)'(?![^\W_])
    """,
    re.VERBOSE,
)
_URL = re.compile(r"(?:https?|ftp)://[^\s<>\"'“”«»`|\\^{}]+|www\.[^\s<>\"'“”«»`|\\^{}]+", re.I)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_FENCED = re.compile(r"(?ms)^[ \t]*(`{3,}|~{3,})[^\n]*\n(.*?)^[ \t]*\1[`~]*[ \t]*$")
_MASKABLE = re.compile(rf"{_QUOTED.pattern} | [\ue000-\uf8ff]", re.VERBOSE)
MASK = 0xE000
"""First code point of the private use area, which stands for quotations in `masked`."""

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
    fenced = [match[2].strip("\n") for match in _FENCED.finditer(text)]
    inline = [match[2].strip() for match in _INLINE.finditer(_FENCED.sub("\n", text))]
    return _unique([*fenced, *inline])


def without_code(text: str) -> str:
    """Return a text without its fenced blocks and inline code spans."""
    if "`" not in text and "~~~" not in text:
        return text
    return _INLINE.sub(" ", _FENCED.sub("\n", text))


def masked(text: str) -> tuple[str, list[str]]:
    """Return a text with the n-th quotation replaced by the private sign `MASK + n`, and them all.

    What is quoted is material, not instruction; masked, it can still be named. Private signs of the
    text's own are replaced: they stand for no quotation.
    """
    found: list[str] = []

    def mask(match: re.Match[str]) -> str:
        quoted = next(filter(None, match.groups()), None)
        if quoted is None:
            return "\ufffd"
        found.append(quoted.strip())
        return chr(MASK + len(found) - 1)

    return _MASKABLE.sub(mask, without_code(text)), found


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


def _bare(url: str) -> str:
    url = url.rstrip(".,;:!?*_'’…")
    # A bracket closes the sentence's, not the address's, where it wasn't opened in the address.
    while url.endswith((")", "]")) and url.count(url[-1]) > url.count(_OPENING[url[-1]]):
        url = url[:-1].rstrip(".,;:!?")
    return url


def _unique(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(item for item in found if item))
