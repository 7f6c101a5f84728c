"""What an exception of an LLM call means: try again, another way, this sample, or the provider.

LangChain's integrations raise its typed errors (`langchain_core.exceptions`); others are read by
the HTTP status or the class name that the vendors' SDKs share. Servers that only resemble a
vendor's answer 200 with an error, or without a choice, inside; the integration's words tell those.
"""

import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from langchain_core import exceptions as lc
from pydantic import ValidationError

from ..core.redaction import redact

Meaning = Literal["retry", "refused", "answer", "provider"]
"""`retry`: rate limit, time-out, overload. `refused`: this request can't be served in this form.
`answer`: this one answer is lost. `provider`: no other call would fare better."""

_CUT = {"LengthFinishReasonError", "ContentFilterFinishReasonError"}
_NETWORK = {"TransportError", "APIConnectionError", "APITimeoutError"}
_SPENT = {"insufficient_quota", "billing_hard_limit_reached"}
_ACCOUNT = ("credit balance is too low", "api key not valid", "api_key_invalid")
"""Words of vendors that answer 400 where others answer 401 or 402."""

_RETRIED = {408, 409, 425, 429}
_REFUSED = {400, 413, 415, 422, 501}
_OVERLOADED = 529
_THROTTLED = {"ThrottlingException", "TooManyRequestsException", "RESOURCE_EXHAUSTED"}
_UNREADABLE = ("'choices'", "'NoneType' object is not", "Unexpected response type")
"""What `langchain_openai` says of a body that holds no choices or is no JSON object."""


class UnreadableReply(Exception):
    """A reply came, but no message could be made of it."""


def meaning(error: Exception) -> Meaning:
    """Return what to do about an exception that a chat model raised."""
    names = {kind.__name__ for kind in type(error).__mro__}
    status = _status(error)
    words = str(error)
    if isinstance(error, lc.ContextOverflowError | lc.OutputParserException | lc.ModelRefusalError):
        return "answer"
    if names & _CUT:
        return "answer"
    if isinstance(error, ValidationError) and error.title.endswith("Message"):
        return "answer"  # the reply can't even be held as a message: sent again, it comes again
    if _code(error) in _SPENT or any(said in words.lower() for said in _ACCOUNT):
        return "provider"  # it comes as a 429 or 400, but waiting or rephrasing fills no account
    if isinstance(error, lc.ModelError) and error.is_retryable:
        return "retry"
    if isinstance(error, ConnectionError | TimeoutError) or names & _NETWORK:
        return "retry"
    if _code(error) in _THROTTLED:
        return "retry"
    if status in _REFUSED or isinstance(error, lc.ModelInvalidRequestError):
        return "refused"
    if status in _RETRIED or (status is not None and status >= 500):
        return "retry"
    if isinstance(error, UnreadableReply) or unreadable(error):
        return "retry"
    if isinstance(error, NotImplementedError | TypeError | ValueError) and status is None:
        return "refused"  # the integration knows no such argument or method
    return "provider"


def unreadable(error: Exception) -> bool:
    """Return whether an error says that the body of a reply has no choices, or is no JSON."""
    status = _status(error)
    if status is not None and status >= 300:
        return False
    if isinstance(error, LookupError) or type(error).__name__ == "JSONDecodeError":
        return True  # an empty list of choices, a body cut short
    words = str(error)
    # An attribute that is missing: the integration took a page of text for an object.
    misread = isinstance(error, AttributeError | TypeError | ValueError)
    return misread and any(said in words for said in _UNREADABLE)


def limits_rate(error: Exception) -> bool:
    """Return whether an error asks for fewer calls, not only for another try."""
    status = _status(error)
    return (
        isinstance(error, lc.ModelRateLimitError)
        or status in {429, _OVERLOADED}
        or _code(error) in _THROTTLED
        or (status == 503 and retry_after(error) is not None)
    )


def retry_after(error: Exception) -> float | None:
    """Return the seconds that the provider asked to wait for, from either form of the header."""
    response = getattr(error, "response", None)
    headers: Any = getattr(response, "headers", None) or {}
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name)) / unit
        except (TypeError, ValueError):
            continue  # absent, or a date
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        moment = parsedate_to_datetime(headers.get("retry-after"))
    except (TypeError, ValueError, OverflowError):  # no such day is in any calendar
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # HTTP dates are in GMT
    return max(aware.timestamp() - time.time(), 0.0)


def in_one_line(error: BaseException, limit: int = 300) -> str:
    """Return an exception as `Kind: first words`, fit for a one-line message, keys left out."""
    words = redact(" ".join(str(error).split()))
    return f"{type(error).__name__}: {words[:limit]}" if words else type(error).__name__


def _status(error: Exception) -> int | None:
    """Return the HTTP status, wherever the SDK keeps it; an error inside a 200 says its own."""
    response = getattr(error, "response", None)
    inside = _inside(error)
    if inside is not None:
        return _number(inside.get("code")) or _number(inside.get("status"))
    if isinstance(response, Mapping):  # botocore
        return _number(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    for holder, name in ((error, "status_code"), (response, "status_code"), (error, "code")):
        status = _number(getattr(holder, name, None))
        if status is not None:
            return status
    return None


def _code(error: Exception) -> str | None:
    """Return a vendor's word for the error, such as `insufficient_quota`."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        code = response.get("Error", {}).get("Code")
    else:
        code = (_inside(error) or {}).get("code") or getattr(error, "code", None)
        if not isinstance(code, str):
            code = getattr(error, "status", None)  # google.genai
    return code if isinstance(code, str) else None


def _inside(error: Exception) -> Mapping[str, Any] | None:
    """Return the error object of a reply that came with status 200."""
    first = error.args[0] if isinstance(error, ValueError) and error.args else None
    return first if isinstance(first, Mapping) else None


def _number(value: Any) -> int | None:
    """Return an HTTP status (enumerations and digits included), None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return int(value) if isinstance(value, int) and 100 <= value < 600 else None
