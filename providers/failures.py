"""What an exception of an LLM call means: try again, another way, this sample, or the provider.

LangChain's integrations raise its typed errors (`langchain_core.exceptions`); others are read by
the HTTP status or the class name that the vendors' SDKs share.
"""

from typing import Any, Literal

from langchain_core import exceptions as lc

Meaning = Literal["retry", "refused", "answer", "provider"]
"""`retry`: rate limit, time-out, overload. `refused`: this request can't be served in this form.
`answer`: this one answer is lost. `provider`: no other call would fare better."""

LONGEST_WAIT = 60.0
"""Seconds; a `Retry-After` beyond that is not waited for in full."""

_CUT = {"LengthFinishReasonError", "ContentFilterFinishReasonError"}
_NETWORK = {"TransportError", "APIConnectionError", "APITimeoutError"}
_SPENT = {"insufficient_quota", "billing_hard_limit_reached"}
_RETRIED = {408, 409, 425, 429}
_REFUSED = {400, 413, 415, 422}


def meaning(error: Exception) -> Meaning:
    """Return what to do about an exception that a chat model raised."""
    names = {kind.__name__ for kind in type(error).__mro__}
    status = _status(error)
    if isinstance(error, lc.ContextOverflowError | lc.OutputParserException) or names & _CUT:
        return "answer"
    if getattr(error, "code", None) in _SPENT:
        return "provider"  # it comes as a 429, but waiting fills no account
    if isinstance(error, lc.ModelError) and error.is_retryable:
        return "retry"
    if isinstance(error, ConnectionError | TimeoutError) or names & _NETWORK:
        return "retry"
    if status in _RETRIED or (status is not None and status >= 500):
        return "retry"
    if status in _REFUSED or isinstance(error, lc.ModelInvalidRequestError):
        return "refused"
    if isinstance(error, NotImplementedError | TypeError | ValueError) and status is None:
        return "refused"  # the integration knows no such argument or method
    return "provider"


def retry_after(error: Exception) -> float | None:
    """Return the seconds that the provider asked to wait for, at most `LONGEST_WAIT`."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return min(max(float(headers.get("retry-after")), 0.0), LONGEST_WAIT)
    except (TypeError, ValueError):
        return None  # absent, or a date: the usual pause serves


def in_one_line(error: BaseException, limit: int = 300) -> str:
    """Return an exception as `Kind: first words`, fit for a one-line message."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:limit]}" if words else type(error).__name__


def _status(error: Exception) -> int | None:
    response = getattr(error, "response", None)
    for holder in (error, response):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int):
            return status
    return None
