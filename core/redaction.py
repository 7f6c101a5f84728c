"""Keep keys out of what is written: ledger, errors, logs, tracebacks, traces.

Two measures, since texts have two origins. What people and models wrote (messages, answers) loses
only the exact values of keys that this process holds, as a data set may well teach what a key looks
like: `without_keys`. What programs say (errors, logs) also loses everything in the form of a
credential: `redact`. Which variables hold keys is read off their names; other variables are named
by whoever reads a key from them, with `watch`.
"""

import json
import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

REDACTED = "[redacted]"
SHORTEST = 8
"""Characters; a shorter value of a variable is a word of the language as often as a key."""

_HOLDS_KEY = re.compile(r"(?:^|_)(?:API_?KEYS?|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PAT)$")
_PLACEHOLDERS = {
    *("not-needed", "not_needed", "no-key-required", "sk-no-key-required", "lm-studio"),
    *("placeholder", "anything", "your-api-key", "your_api_key", "changeme", "required"),
}
"""What people put into a variable of a server that wants no key."""

_SHAPES = (
    r"(?<![A-Za-z0-9_-])(?:sk|pk|rk)-(?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic
    r"(?<![A-Za-z0-9_])(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
    r"(?<![A-Za-z0-9_-])AIza[A-Za-z0-9_-]{30,}",  # Google
    r"(?<![A-Za-z0-9_])ya29\.[A-Za-z0-9_-]{20,}",
    r"(?<![A-Za-z0-9_])gh[pousr]_[A-Za-z0-9]{20,}",  # GitHub
    r"(?<![A-Za-z0-9_])github_pat_[A-Za-z0-9_]{20,}",
    r"(?<![A-Za-z0-9_-])glpat-[A-Za-z0-9_-]{16,}",  # GitLab
    r"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{20,}",  # Hugging Face
    r"(?<![A-Za-z0-9_])gsk_[A-Za-z0-9]{20,}",  # Groq
    r"(?<![A-Za-z0-9_-])xai-[A-Za-z0-9]{20,}",
    r"(?<![A-Za-z0-9_-])pplx-[A-Za-z0-9]{20,}",
    r"(?<![A-Za-z0-9_-])nvapi-[A-Za-z0-9_-]{20,}",
    r"(?<![A-Za-z0-9_])lsv2_(?:pt|sk)_[A-Za-z0-9_]{20,}",  # LangSmith
    r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9])",  # AWS
    r"(?<![A-Za-z0-9_-])xox[abprs]-[A-Za-z0-9-]{10,}",  # Slack
    r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",  # JWT
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----[\s\S]*?(?:-----END (?:[A-Z0-9]+ )*"
    r"PRIVATE KEY-----|\Z)",
)
_KEY_SHAPE = re.compile("|".join(f"(?:{shape})" for shape in _SHAPES))
_MARKS = (
    *("sk-", "pk-", "rk-", "_live_", "_test_", "AIza", "ya29.", "ghp_", "gho_", "ghu_", "ghs_"),
    *("ghr_", "github_pat_", "glpat-", "hf_", "gsk_", "xai-", "pplx-", "nvapi-", "lsv2_", "AKIA"),
    *("ASIA", "xox", "eyJ", "PRIVATE KEY-----"),
)
"""Every shape holds one of these; finding that none is there is fifty times as fast."""
_AUTHORIZED = re.compile(
    r"(\bauthorization[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic|token)\s+)?|\bbearer\s+)"
    r"([A-Za-z0-9._~+/-]{8,}=*)",
    re.IGNORECASE,
)
# A run of word signs is looked at from its start alone: from each of its words on, a run of ten
# thousand words would take minutes.
_ASSIGNED = re.compile(
    r"(?<![\w-])[\w-]*(?:api[_-]?key|secret|password|passwd|access[_-]?token|auth[_-]?token)"
    r"[\"']?\s*[:=]\s*[\"']?",
    re.IGNORECASE,
)
_ASSIGNABLE = re.compile(r"[^\s\"'&;,)}\]]*")
_LAST_DIGIT = re.compile(r".*\d", re.DOTALL)
_UNBROKEN = re.compile(r"[^\s.]{16}")
_SHORTEST_ASSIGNED = 6
_WORDS = (
    *("authorization", "bearer", "secret", "password", "passwd", "token"),
    *("apikey", "api_key", "api-key"),
)
"""Every text that `_AUTHORIZED` or `_ASSIGNED` changes holds one of these, in some case."""
_ODD_CASES = "\u0130\u0131\u017f\u212a"
"""Letters that a pattern without case takes for i, s and k, while `lower` may not."""
_LOGIN = re.compile(r"((?<![a-z0-9+.-])[a-z0-9+.-]+://)[^@/\s\"'?#]+(@)", re.IGNORECASE)

_watched: dict[str, set[str]] = {}


def watch(name: str, *parts: str) -> None:
    """Count a variable among those that hold a key, with the value that it has now.

    Values stay known when the variable changes: what was read before can still be spoken of.
    `parts` are secrets inside the value that are also used without the rest of it.
    """
    known = _watched.setdefault(name, set())
    known.update(parts)
    value = os.environ.get(name)
    if value:
        known.add(value)


def holds_key(name: str) -> bool:
    """True for the name of an environment variable that says that its value is a secret."""
    return name in _watched or bool(_HOLDS_KEY.search(name.upper()))


def known_keys() -> list[str]:
    """Return the values of all key variables, the longest first, so that none hides in another."""
    found = {value for values in _watched.values() for value in values}
    found |= {
        value for name, value in os.environ.items() if holds_key(name) and not _is_path(value)
    }
    stripped = {value.strip() for value in found}
    return sorted(
        {key for key in stripped if len(key) >= SHORTEST and key.lower() not in _PLACEHOLDERS},
        key=lambda key: (-len(key), key),
    )


def without_keys(value: Any) -> Any:
    """Return JSON types, tuples among them, with the exact values of known keys redacted.

    Nothing else changes: it is safe for texts that count, such as answers and samples.
    """
    forms = _forms()
    return _mapped(value, forms) if forms else value


def redact(text: str) -> str:
    """Return what a program said without known keys, and without all that looks like a credential.

    Redact before a text is cut: half a key is not recognised any more.
    """
    return _redacted(text, _forms())


def redactor() -> Callable[[str], str]:
    """Return `redact` with the keys that are known now, looked up once for many texts."""
    forms = _forms()
    return lambda text: _redacted(text, forms)


def looks_like_key(text: str) -> bool:
    """True where a text holds a key by its form, or the value of a known key variable."""
    return bool(_KEY_SHAPE.search(text)) or any(key in text for key in known_keys())


def _is_path(value: str) -> bool:
    """True for the place of a key instead of the key, as in `SSL_KEY=/etc/ssl/key.pem`."""
    return value.startswith(("/", "./", "~")) and os.path.exists(os.path.expanduser(value))


def _forms() -> list[str]:
    """Return known keys as they are, and as URLs and JSON write them."""
    forms: dict[str, None] = {}
    for key in known_keys():
        forms.update(dict.fromkeys((key, quote(key, safe=""), json.dumps(key)[1:-1])))
    return list(forms)


def _redacted(text: str, forms: list[str]) -> str:
    text = _replaced(text, forms)
    if any(mark in text for mark in _MARKS):
        text = _KEY_SHAPE.sub(REDACTED, text)
    plain = text.lower()
    if any(word in plain for word in _WORDS) or any(letter in text for letter in _ODD_CASES):
        text = _AUTHORIZED.sub(rf"\1{REDACTED}", text)
        text = _without_assigned(text)
    return _LOGIN.sub(rf"\1{REDACTED}\2", text) if "://" in text and "@" in text else text


def _without_assigned(text: str) -> str:
    """Redact what is assigned to a name of a secret and is no word: it has a digit, or is long.

    The values of `secret=secret=...` end at one place, so that is looked for once.
    """
    kept: list[str] = []
    done = position = end = last_digit = 0
    while (name := _ASSIGNED.search(text, position)) is not None:
        position = start = name.end()
        if start >= end:
            value = _ASSIGNABLE.match(text, start)
            end = value.end() if value else start
            digit = _LAST_DIGIT.match(text, start, end)
            last_digit = digit.end() - 1 if digit else -1
        if text.startswith(REDACTED, start):
            continue
        secret = last_digit >= start or _UNBROKEN.match(text, start) is not None
        if secret and end - start >= _SHORTEST_ASSIGNED:
            kept += [text[done:start], REDACTED]
            done = position = end
    return "".join([*kept, text[done:]])


def _mapped(value: Any, forms: list[str]) -> Any:
    if isinstance(value, str):
        return _replaced(value, forms)
    if isinstance(value, dict):
        return {_mapped(key, forms): _mapped(inner, forms) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_mapped(inner, forms) for inner in value)
    return value


def _replaced(text: str, forms: list[str]) -> str:
    for form in forms:
        if form in text:
            text = text.replace(form, REDACTED)
    return text
