from typing import Any

import pytest

from middo.core.credentials import secrets_in


def places(params: dict[str, Any]) -> list[str]:
    return [".".join(map(str, place)) for place, _ in secrets_in(params)]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"api_key": "x"}, "api_key"),
    ({"openaiApiKey": "x"}, "openaiApiKey"),
    ({"default_headers": {"Authorization": "x"}}, "default_headers.Authorization"),
    ({"default_headers": {"X-Api-Key": "x"}}, "default_headers.X-Api-Key"),
    ({"default_headers": {"X-Any": "Bearer sk-abcdefgh12345678"}}, "default_headers.X-Any"),
    ({"model_kwargs": {"auth": {"password": "x"}}}, "model_kwargs.auth.password"),
    ({"servers": [{"token": "x"}]}, "servers.0.token"),
    ({"keys": {"secrets": ["x"]}}, "keys.secrets"),
    ({"base_url": "https://me:pw@host/v1"}, "base_url"),
    ({"base_url": "https://token-only@host/v1"}, "base_url"),
    ({"base_url": "https://host/v1?key=abc"}, "base_url"),
    ({"anything": "ghp_0123456789abcdefghijABCDEF"}, "anything"),
    ({"sk-abcdefgh12345678abcd": 1}, "..."),
]


@pytest.mark.parametrize(("params", "place"), REFUSED)
def test_a_secret_is_found_wherever_it_stands(params: dict[str, Any], place: str) -> None:
    assert places(params) == [place]


def test_the_value_of_a_key_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_TOKEN", "plain-word-of-ours")
    assert places({"note": "use plain-word-of-ours here"}) == ["note"]


@pytest.mark.parametrize(
    "params",
    [
        {"max_tokens": 5, "budget_tokens": 1024, "eos_token": "</s>", "stop_token": "x"},
        {"prompt_cache_key": "run-1", "base_url": "http://127.0.0.1:8000/v1?version=2"},
        {"api_key_env": "OPENAI_API_KEY", "api_key": None, "keyword": "x", "monkey": "x"},
        {"default_headers": {"X-Title": "Middo"}, "path": "/data/task-based-and-more-2024"},
    ],
)
def test_what_only_sounds_like_one_is_left_alone(params: dict[str, Any]) -> None:
    assert places(params) == []
