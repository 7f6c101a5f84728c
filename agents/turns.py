"""Turns of a conversation as an LLM is told of them."""

from ..core.records import Message


def told(messages: tuple[Message, ...]) -> str:
    """Return turns as one text, each under its role or the source's own word for it."""
    return "\n\n".join(
        f"[{message.name or message.role}]\n{message.content}" for message in messages
    )
