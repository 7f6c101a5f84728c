import re
import time

import pytest

from middo.core import redaction
from middo.core.redaction import (
    holds_key,
    known_keys,
    looks_like_key,
    redact,
    redactor,
    watch,
    without_keys,
)
from middo.providers.vendors import VENDORS

KEY = "own-canary-1234567890"


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_watched", {})


def test_every_vendors_key_variable_is_known_by_its_name() -> None:
    assert all(holds_key(name) for vendor in VENDORS.values() for name in vendor.keys)
    others = ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "WATSONX_APIKEY", "GH_PAT")
    assert all(map(holds_key, others))
    assert not any(map(holds_key, ("PATH", "KEYBOARD", "TOKENIZERS_PARALLELISM", "MONKEYS")))


def test_a_known_key_goes_from_every_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", f" {KEY}\n")
    value = {"raw": [f"a {KEY} b", 3, None], KEY: ("x", KEY)}
    assert without_keys(value) == {
        "raw": ["a [redacted] b", 3, None],
        "[redacted]": ("x", "[redacted]"),
    }
    assert redact(f"failed with {KEY}") == "failed with [redacted]"


def test_a_key_is_known_as_urls_and_json_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PASSWORD", 'pass/word"0123')
    assert without_keys("u=pass%2Fword%220123&v") == "u=[redacted]&v"
    assert without_keys(r'{"p": "pass/word\"0123"}') == '{"p": "[redacted]"}'


def test_a_watched_variable_stays_known_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER", KEY)
    assert without_keys(KEY) == KEY
    watch("TEACHER")
    monkeypatch.setenv("TEACHER", "another-canary-42")
    assert without_keys(f"{KEY} another-canary-42") == "[redacted] [redacted]"


def test_words_and_paths_are_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("A_KEY", "short"), ("B_KEY", "not-needed"), ("C_KEY", __file__)):
        monkeypatch.setenv(name, value)
    assert not {"short", "not-needed", __file__} & set(known_keys())


def test_of_two_keys_the_longer_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    monkeypatch.setenv("B_KEY", f"{KEY}-and-more")
    assert without_keys(f"{KEY}-and-more") == "[redacted]"


SHAPED = [
    "sk-abcdefgh12345678abcd",
    "sk-ant-api03-aaaaaaaa0000",
    "AIzaSyA0123456789abcdefghijklmnopqrstuv",
    "ghp_0123456789abcdefghijABCDEF",
    "hf_abcdefghijklmnopqrstuv",
    "gsk_abcdefghijklmnopqrstuv",
    "AKIAIOSFODNN7EXAMPLE",
    "lsv2_pt_0123456789abcdef0123456789abcdef_0123456789",
    "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2lnbmF0dXJlLXRleHQ",
    *(f"{start}-abcdefgh12345678abcd" for start in ("pk", "rk", "glpat", "xai", "pplx", "nvapi")),
    *(f"{start}_live_abcdefgh12345678" for start in ("sk", "pk", "rk")),
    "rk_test_abcdefgh12345678",
    "ya29.abcdefghijklmnopqrstuv",
    *(f"gh{kind}_0123456789abcdefghijABCDEF" for kind in "ousr"),
    "github_pat_0123456789abcdefghijABCDEF",
    "ASIAIOSFODNN7EXAMPLE",
    "lsv2_sk_0123456789abcdef0123456789abcdef_0123456789",
    *(f"xox{kind}-0123456789-abcdef" for kind in "abprs"),
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEexample\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("key", SHAPED)
def test_what_has_the_form_of_a_key_goes_from_errors_and_stays_in_answers(key: str) -> None:
    assert looks_like_key(f"see {key}.")
    assert key not in redact(f"bad header 'Bearer {key}' for {key}")
    assert without_keys(f"A key looks like {key}") == f"A key looks like {key}"


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("Authorization: Bearer abcdefgh99", "Authorization: Bearer [redacted]"),
        ("{'authorization': 'Basic dXNlcjpwYXNz'}", "{'authorization': 'Basic [redacted]'}"),
        (
            "GET https://me:pw@host/v1?api_key=abc123def",
            "GET https://[redacted]@host/v1?api_key=[redacted]",
        ),
        ('{"client_secret": "abc123def"}', '{"client_secret": "[redacted]"}'),
        ("API-Key=abc123def", "API-Key=[redacted]"),
        ("BEARER abcdefgh99", "BEARER [redacted]"),
        # Letters that are s and k without case, and that lower case leaves as they are.
        ("pa\u017f\u017fword: abc123def", "pa\u017f\u017fword: [redacted]"),
        ("api_\u212aey=abc123def", "api_\u212aey=[redacted]"),
    ],
)
def test_credentials_go_from_errors(said: str, left: str) -> None:
    assert redact(said) == left


@pytest.mark.parametrize(
    "line",
    [
        "run.yaml:3: agents.rewriter.params.api_key: a configuration holds no secrets; set an"
        " environment variable and name it in api_key_env",
        "budget.max_tokens=1000 is reached (1,002 used); go on with `middo resume RUN`",
        "/data/task-based-instructions-2024/rows.jsonl: no such file",
        "'openai:gpt-4o-mini' needs a key: set OPENAI_API_KEY",
    ],
)
def test_plain_errors_stay_as_they_are(line: str) -> None:
    assert redact(line) == line


def test_every_form_of_a_key_is_tried() -> None:
    for shape in redaction._SHAPES:
        assert any(re.search(shape, key) for key in SHAPED), shape


def test_many_texts_are_redacted_as_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", KEY)
    texts = [f"a {KEY}", *SHAPED, "Authorization: Bearer abcdefgh99", "https://me:pw@host", "plain"]
    redact_now = redactor()
    assert [redact_now(text) for text in texts] == [redact(text) for text in texts]
    assert redact_now(f"a {KEY}") == "a [redacted]"


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "part", ["secret-", "a_secret-", "secret=.", "password=a.b ", "a+", "a-b."]
)
def test_time_grows_with_the_length_of_a_text_whatever_its_words(part: str) -> None:
    text = part * (300_000 // len(part)) + "://token@host"
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 5


def test_what_is_redacted_stays_as_it_is() -> None:
    once = redact('password="abcdefghijklmnopq1", other: secret=hunter2hunter2,next=value')
    assert once == 'password="[redacted]", other: secret=[redacted],next=value'
    assert redact(once) == once
    assert redact("password=[redacted]:and-a-long-rest") == "password=[redacted]:and-a-long-rest"
