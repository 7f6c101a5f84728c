"""What the chat models of local engines share: turns, control tokens, arguments, results."""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

Turn = tuple[str, str]
"""A role of chat templates (`system`, `user`, `assistant`) and its text."""

_ROLES = {"system": "system", "human": "user", "ai": "assistant"}
_JOINER = "\u2060"
_USUAL = r"<(?=\|[^|<>\n]{1,40}\|>|/?s>|(?:start|end)_of_turn>)|\[(?=/?INST\])"


class Disarming:
    """Keeps control tokens in message texts from being read as such.

    Engines read the control tokens of a chat template in message texts too, so that a sample could
    open a system turn of its own. A word joiner after the first character keeps them from being
    read, and is taken out of answers again.
    """

    def __init__(self, controls: Iterable[str] = ()) -> None:
        """Know the usual control tokens, and `controls` beside them."""
        known = {text for text in controls if len(text) > 1}
        ways = [f"{re.escape(text[0])}(?={re.escape(text[1:])})" for text in sorted(known)]
        firsts = "".join(sorted({"<", "[", *(text[0] for text in known)}))
        self._armed = re.compile("|".join([_USUAL, *ways]))
        self._disarmed = re.compile(rf"(?<=[{re.escape(firsts)}]){_JOINER}")

    def hide(self, text: str) -> str:
        """Return a message's text for the engine."""
        return self._armed.sub(lambda found: found.group() + _JOINER, text)

    def show(self, text: str) -> str:
        """Return an engine's text as it was meant."""
        return self._disarmed.sub("", text)


def turns_of(messages: Sequence[BaseMessage], provider: str) -> list[Turn]:
    """Return messages as turns.

    Raises:
        ValueError: a message of a kind that `provider` has no turn for.
    """
    for message in messages:
        if message.type not in _ROLES:
            raise ValueError(f"{provider} takes no {message.type!r} message")
    return [(_ROLES[message.type], str(message.text)) for message in messages]


def refuse_unknown(arguments: Collection[str], known: Collection[str], provider: str) -> None:
    """Raise `TypeError` for an argument of a call that the engine would not heed."""
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise TypeError(f"{provider} takes no argument {unknown[0]!r}")


def chat_result(
    text: str,
    *,
    model_name: str,
    finish_reason: str,
    prompt_tokens: int,
    completion_tokens: int,
    cached_tokens: int | None = None,
) -> ChatResult:
    """Return an answer as LangChain wants it; `cached_tokens` are those of the prompt."""
    usage = UsageMetadata(
        input_tokens=prompt_tokens,
        output_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
    )
    if cached_tokens is not None:
        usage["input_token_details"] = InputTokenDetails(cache_read=cached_tokens)
    said: dict[str, Any] = {"model_name": model_name, "finish_reason": finish_reason}
    message = AIMessage(text, usage_metadata=usage, response_metadata=said)
    return ChatResult(generations=[ChatGeneration(message=message)])


def in_one_piece(result: ChatResult) -> ChatGenerationChunk:
    """Return a whole answer as the only chunk of a stream."""
    message = result.generations[0].message
    chunk = AIMessageChunk(
        content=message.content,
        response_metadata=message.response_metadata,
        usage_metadata=message.usage_metadata if isinstance(message, AIMessage) else None,
        chunk_position="last",
    )
    return ChatGenerationChunk(message=chunk)
