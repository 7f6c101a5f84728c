"""Every check that a proposal has to pass, cheap ones first.

To add a check: a module with a function that returns one `Verdict`, and a line in one of the
tables below.
"""

from collections.abc import Callable, Iterable

from ..core.records import Axis, Proposal, Verdict
from .answers import (
    check_copied,
    check_echo,
    check_empty,
    check_history,
    check_length,
    check_refusal,
    check_unchanged,
)
from .compliance import check_answer_constraints
from .constraints import check_constraints
from .context import CheckContext, may_drop
from .decontamination import check_decontamination
from .invisible import check_invisible
from .language import check_language
from .leakage import check_leakage
from .literals import check_code, check_quotes, check_urls
from .markup import check_markup
from .numerals import check_numbers
from .similarity import check_answer_similarity, check_novelty, check_similarity
from .wrapping import check_wrapper

Check = Callable[[Proposal, CheckContext], Verdict]

DROPPABLE = frozenset({"quotes", "urls", "code", "constraints"})
"""Checks that complexity may fail where the critic names the detail as dropped on purpose."""

EVERY: tuple[Check, ...] = (
    lambda proposal, _: check_empty(proposal),
    lambda proposal, _: check_wrapper(proposal),
    lambda proposal, _: check_echo(proposal),
    lambda proposal, _: check_refusal(proposal),
    check_copied,
    lambda proposal, _: check_leakage(proposal),
    lambda proposal, _: check_invisible(proposal),
    lambda proposal, _: check_markup(proposal),
    lambda proposal, _: check_language(proposal),
    check_answer_constraints,
    lambda proposal, context: check_decontamination(proposal, context.decontamination),
)
"""Checks of replacements and of new samples."""

REPLACING: tuple[Check, ...] = (
    lambda proposal, _: check_unchanged(proposal),
    lambda proposal, _: check_history(proposal),
    lambda proposal, _: check_numbers(proposal),
    check_quotes,
    check_urls,
    check_code,
    check_constraints,
    check_length,
)
"""Further checks of a proposal that takes the place of its parent."""

EMBEDDED_REPLACING: tuple[Check, ...] = (check_similarity, check_answer_similarity)
EMBEDDED_ADDING: tuple[Check, ...] = (check_novelty,)
"""Checks that embed sentences, run only where all others have passed."""


def run_checks(proposal: Proposal, context: CheckContext) -> list[Verdict]:
    """Return the verdict of every check that applies, in a fixed order.

    All cheap checks run even when one fails, so that the rewriter hears everything at once; those
    with embeddings run only when the cheap ones have passed.
    """
    verdicts = cheap_checks(proposal, context)
    return verdicts + embedded_checks(proposal, context) if passed(verdicts) else verdicts


def cheap_checks(proposal: Proposal, context: CheckContext) -> list[Verdict]:
    """Return the verdicts of the checks that look at the texts alone."""
    cheap = EVERY if proposal.adds else EVERY + REPLACING
    return [check(proposal, context) for check in cheap]


def embedded_checks(proposal: Proposal, context: CheckContext) -> list[Verdict]:
    """Return the verdicts of the checks that embed sentences."""
    embedded = EMBEDDED_ADDING if proposal.adds else EMBEDDED_REPLACING
    return [check(proposal, context) for check in embedded]


def excusable(axis: Axis, refused: Iterable[Verdict]) -> bool:
    """Return whether the critic can still excuse all of what the checks refused."""
    names = {verdict.name for verdict in refused}
    return may_drop(axis) and bool(names) and names <= DROPPABLE


def passed(verdicts: Iterable[Verdict]) -> bool:
    """Return whether no check refused."""
    return all(verdict.passed for verdict in verdicts)
