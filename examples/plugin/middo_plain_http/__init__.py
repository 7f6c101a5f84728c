"""Middo's provider `plainhttp:`: one HTTP endpoint, one JSON object each way."""

from .chat import PlainHttpChat

__all__ = ["PlainHttpChat", "plain_http_chat"]


def plain_http_chat(model: str, **params: object) -> PlainHttpChat:
    """Return the chat model of `plainhttp:MODEL`; Middo passes `params` of the configuration.

    With `api_key_env` in the configuration, the key arrives here as `api_key`.
    """
    return PlainHttpChat.model_validate({"model": model, **params})
