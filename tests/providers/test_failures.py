import time
from email.utils import formatdate
from typing import Any

import pytest
from langchain_core import exceptions as lc
from langchain_core.messages import AIMessage
from pydantic import ValidationError

from middo.providers.failures import limits_rate, meaning, retry_after


class Response:
    def __init__(self, status: int | None = None, **headers: str) -> None:
        self.status_code = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def error(words: str = "no", *, kind: type[Exception] = Exception, **attributes: Any) -> Exception:
    made = kind(words)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def named(name: str, *bases: type[Exception], **attributes: Any) -> Exception:
    """Return an exception as a vendor's SDK would define it."""
    return error(kind=type(name, bases or (Exception,), {}), **attributes)


AWS = {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        # langchain-anthropic and langchain-google-genai mix LangChain's types with the SDK's.
        (named("AnthropicRateLimitError", lc.ModelRateLimitError, status_code=429), "retry"),
        (named("AnthropicAPIError", lc.ModelAPIError, status_code=529), "retry"),
        (named("AnthropicTimeoutError", lc.ModelTimeoutError), "retry"),
        (named("AnthropicAuthenticationError", lc.ModelAuthenticationError), "provider"),
        (named("AnthropicPermissionError", lc.ModelPermissionDeniedError), "provider"),
        (named("AnthropicNotFoundError", lc.ModelNotFoundError, status_code=404), "provider"),
        (named("AnthropicBadRequest", lc.ModelInvalidRequestError, status_code=400), "refused"),
        (named("AnthropicContextError", lc.ContextOverflowError, status_code=400), "answer"),
        (named("GoogleRefusal", lc.ModelRefusalError), "answer"),
        (
            error(
                "Your credit balance is too low to access the API",
                kind=lc.ModelInvalidRequestError,
                status_code=400,
            ),
            "provider",
        ),
        # google.genai: the status in `code`, its word in `status`.
        (named("ClientError", code=400, status="INVALID_ARGUMENT"), "refused"),
        (error("API key not valid. Please pass a valid API key.", code=400), "provider"),
        (named("ClientError", code=429, status="RESOURCE_EXHAUSTED"), "retry"),
        (named("ServerError", code=503, status="UNAVAILABLE"), "retry"),
        # httpx and botocore keep the status in the response.
        (named("HTTPStatusError", response=Response(502)), "retry"),
        (named("HTTPStatusError", response=Response(403)), "provider"),
        (named("ConnectTimeout", named("TransportError").__class__), "retry"),
        (named("ClientError", response=AWS), "retry"),
        # An error inside a reply with status 200.
        (ValueError({"message": "slow down", "code": 429}), "retry"),
        (ValueError({"message": "no credit", "code": 402}), "provider"),
        (ValueError({"message": "no money", "code": "insufficient_quota"}), "provider"),
        (ValueError({"message": "bad schema", "code": 400}), "refused"),
        (error(status_code=501), "refused"),
        (error(status_code=429, code="insufficient_quota"), "provider"),
        (IndexError("list index out of range"), "retry"),
        (TypeError("'NoneType' object is not iterable"), "retry"),
        (AttributeError("'str' object has no attribute 'choices'"), "retry"),  # a page of HTML
        (AttributeError("'Plugin' object has no attribute 'ask'"), "provider"),
        (TypeError("got an unexpected keyword argument 'response_format'"), "refused"),
        (NotImplementedError(), "refused"),
        (RuntimeError("something else"), "provider"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, Exception) else value,
)
def test_what_an_error_means(raised: Exception, expected: str) -> None:
    assert meaning(raised) == expected


def test_a_reply_that_cannot_be_held_as_a_message_is_lost_alone() -> None:
    with pytest.raises(ValidationError) as failure:
        AIMessage("", tool_calls=[{"name": "x", "args": "text", "id": "1"}])
    assert meaning(failure.value) == "answer"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (error(status_code=429), True),
        (error(status_code=529), True),
        (lc.ModelRateLimitError("x"), True),
        (named("ClientError", response=AWS), True),
        (ValueError({"code": 429}), True),
        (error(status_code=503, response=Response(503, retry_after="3")), True),
        (error(status_code=503), False),
        (error(status_code=500, response=Response(500, retry_after="3")), False),
        (TimeoutError(), False),
    ],
)
def test_which_errors_ask_for_fewer_calls(raised: Exception, expected: bool) -> None:
    assert limits_rate(raised) is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after_ms": "1500", "retry_after": "2"}, 1.5),
        ({"retry_after_ms": "soon", "retry_after": "2"}, 2.0),
        ({"retry_after": "-3"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "tomorrow"}, None),
        ({"retry_after": "Fri, 31 Dec 99999999999999999999 23:59:59 GMT"}, None),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({}, None),
    ],
)
def test_the_wait_that_was_asked_for(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after(error(response=Response(429, **headers))) == expected


@pytest.mark.parametrize("usegmt", [True, False])
def test_a_date_to_come_back_at_is_a_wait_until_then(usegmt: bool) -> None:
    date = formatdate(time.time() + 40, usegmt=usegmt)
    wait = retry_after(error(response=Response(429, retry_after=date)))
    assert wait is not None
    assert 37 < wait <= 40
