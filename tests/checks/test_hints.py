"""A hint may never hide a match: whatever a pattern finds, its hints are there."""

import re

import pytest

from middo.checks.constraints import _PATTERNS, find_constraints
from middo.checks.hints import Hinted, folded, has_any
from middo.checks.language import NAMES, names_language
from middo.checks.leakage import _SECRETS
from middo.checks.wrapping import _WRAPPERS

PROMPTS = (
    "Write it in JSON, in valid XML, as CSV, with html, in yaml, use Markdown, as LaTeX code.",
    "Put it in a table. Make a tabular overview. Answer in a list. Use bullets. Itemised list.",
    "Give a comma separated line. Write a short essay. Write a haiku. Draft an e-mail.",
    "Use lowercase only. No capital letters. Small letters only. ALL CAPS. Capitalize every word.",
    "Do not use commas. Wrap a title in <<x>>. Use [placeholders]. Highlight *parts* in markdown.",
    "Mark each Section X. Add a post script, P.S. or P.P.S. Wrap it in double quotation marks.",
    "Separate with ***. Use ******, six asterisks. First repeat the request word for word.",
    "Answer with one of the following options, or choose from them: my answer is yes.",
    "Make the text bold text and italicise the rest. Use double angular brackets.",
)
SECRETS = (
    "-----BEGIN RSA PRIVATE KEY-----",
    *("sk-" + "a1" * 12, "rk_live_" + "a1" * 10, "AIza" + "b" * 35, "hf_" + "c" * 32),
    *("glpat-" + "d" * 20, "xoxb-" + "e" * 12, "SG." + "f" * 16 + "." + "g" * 16),
    *("ghp_" + "h" * 36, "github_pat_" + "i" * 30, "AKIA" + "J" * 16, "ya29." + "k" * 20),
    *("npm_" + "l" * 36, "eyJ" + "m" * 12 + ".eyJ" + "n" * 12 + "." + "o" * 12),
    *("api_key = a1b2c3d4e5f6g7", "SECRET: a1b2c3d4e5f6g7", "auth-token=a1b2c3d4e5f6g7"),
    *("password = a1b2c3d4e5f6g7", "https://user:pass@example.com"),
)
WRAPPED = {
    "reasoning": ("<think>hm</think> yes", "< analysis >"),
    "template": (
        "a<|im_end|>", "a<｜end｜>", "[INST] a [/INST]", "<<SYS>>", "<end_of_turn>", "a</s>",
        "<s>a", "## Instruction:\na", "a\n### response", "a\n####input:", "Assistant: a",
        "Human : a", "a\nUser: b",
    ),
    "opener": (
        "Sure, here", "Certainly! Below", "Of course. I can", "Absolutely: let me", "Okay, I will",
        "OK, I'd", "Great! The following", "Got it. Let's", "Here is the re-phrased text",
        "Below are some polished ones", "Here's a better answer", "Below is my version",
    ),
    "label": ("**New prompt:** a", "a\nrewritten text: b", "Prompt: a", "instruction : a"),
    "rewriting": (
        *("I have re-written the text", "We changed your prompt", "I kept the answer"),
        *("I rewrote the question", "I've edited the output", "the original sample"),
        *("the proposed prompt", "the corrected answer", "the updated prompt"),
        *("this rewrite", "this revision", "this revised", "this rewritten"),
        *("I simplified your text", "we improved the text", "the polished answer"),
    ),
    "assistant": (
        "as an AI", "as a ai", "As an artificial intelligence", "as a large language model",
        "as a language model", "I am just an AI", "I’m only an ai",
    ),
    "fence": ("0a1b2c3d4e5f6071", "deadbeefdeadbee0"),
}  # fmt: skip
CASED = (
    str,
    str.upper,
    str.lower,
    str.title,
    lambda text: text.replace("i", "ı").replace("I", "İ"),
)


@pytest.mark.parametrize("cased", CASED)
def test_every_pattern_of_a_constraint_finds_what_it_found_without_hints(cased: object) -> None:
    assert callable(cased)
    matched = set()
    for prompt in map(cased, PROMPTS):
        for kind, target, hinted in _PATTERNS:
            found = hinted.pattern.search(prompt)
            assert (hinted.search(prompt) is None) == (found is None), (kind, target, prompt)
            if found:
                matched.add((kind, target))
    if cased is str:
        assert matched == {(kind, target) for kind, target, _ in _PATTERNS}


@pytest.mark.parametrize("text", SECRETS)
def test_every_secret_has_its_hint(text: str) -> None:
    whole = f"before {text} after"
    plain = [name for name, secret in _SECRETS.items() if secret.pattern.search(whole)]
    hinted = [name for name, secret in _SECRETS.items() if secret.findall(whole)]
    assert hinted == plain != []


@pytest.mark.parametrize("cased", CASED)
@pytest.mark.parametrize("kind", WRAPPED)
def test_every_wrapper_is_found_as_without_hints(kind: str, cased: object) -> None:
    assert callable(cased)
    for text in WRAPPED[kind]:
        found = [match.span() for match in _WRAPPERS[kind].pattern.finditer(cased(text))]
        assert [match.span() for match in _WRAPPERS[kind].findall(cased(text))] == found
        if cased is str:
            assert found, text


def test_a_pattern_is_not_tried_without_its_hint() -> None:
    hinted = Hinted(re.compile("x|list"), ("list",))
    assert hinted.search("an x") is None
    assert [match[0] for match in hinted.findall("a list, an x")] == ["list", "x"]


def test_hints_are_found_in_any_case_that_a_pattern_ignores() -> None:
    for text in ("LIST", "lıst", "LİST", "liſt"):
        assert re.search("list", text, re.IGNORECASE), text
        assert has_any(text, ("list",)), text
    assert folded("K") == "k"


def test_a_language_is_named_by_a_whole_word() -> None:
    assert all(names_language(f"Answer in {name.title()}.") for name in NAMES)
    assert not names_language("Polishing the Frenchman's danishes, as a Latina would.")
    assert not names_language("ﬁnnish")  # the ligature is another sign to the pattern


def test_what_is_remembered_can_not_be_changed_by_a_caller() -> None:
    prompt = "Answer in a table."
    find_constraints(prompt).clear()
    assert [item.target for item in find_constraints(prompt)] == ["table"]
