"""Markup that acts: a page that shows a data set must not run what a rewriter wrote into it.

Middo's own pages escape everything. Others that show the data may not, and a model trained on it
would write such markup itself. A task about markup may be answered with it.
"""

import re

from ..core.records import Proposal, Verdict
from .hints import Hinted
from .words import named

_ACTIVE = {
    name: Hinted(re.compile(pattern, re.IGNORECASE), hints)
    for name, pattern, hints in (
        (
            "element",
            # The second half are also names of types, as in List<Object>.
            r"<\s*/?\s*(?:script|iframe|frameset|embed|applet|svg|textarea)\b[^<>]{0,300}>?"
            r"|(?<!\w)<\s*/?\s*(?:object|base|meta|link|form|input|style|template)\b[^<>]{0,300}>?",
            ("<",),
        ),
        ("handler", r"<\s*[a-z][^<>]{0,300}?[\s\"'/]on[a-z]{3,20}\s*=", ("<",)),
        (
            "address",
            r"\b(?:javascript|vbscript):(?=\S)|\bdata:(?:text/html|image/svg)"
            r"|\b(?:src|href|action|srcset)\s*=\s*[\"']?//\w|\]\(\s*//\w",
            ("script:", "data:", "//"),
        ),
    )
}
_ABOUT_MARKUP = re.compile(
    r"<\s*/?\s*[a-z!][^<>]*>|\b(?:x?html5?|css|javascript|js|typescript|jsx|php|xml|svg|xss|dom|ajax"
    r"|markup|web\s?-?(?:pages?|sites?|apps?|dev\w*)|front-?end|react\.?js|angular|jquery|jinja"
    r"|django|browser)\b",
    re.IGNORECASE,
)


def check_markup(proposal: Proposal) -> Verdict:
    """Refuse scripts, frames, event handlers and the like that the original doesn't hold.

    They pass where the original's prompt is about markup, and for a new sample where its own is.
    """
    parent = proposal.parent
    known = "\n".join(message.content for message in parent.messages).casefold()
    asked = parent.prompt if not proposal.adds else f"{parent.prompt}\n{proposal.prompt}"
    found: dict[str, str] = {}
    for text in (proposal.prompt, proposal.answer):
        for name, pattern in _ACTIVE.items():
            for match in pattern.findall(text):
                if match[0].casefold() not in known:
                    found.setdefault(name, match[0].strip())
    if found and _ABOUT_MARKUP.search(asked):
        return Verdict("markup", True, {"asked": sorted(found)})
    reason = f"Leave out markup that acts: {named(list(found.values()))}." if found else ""
    return Verdict("markup", not found, {"markup": sorted(found)}, reason)
