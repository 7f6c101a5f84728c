import pytest

from middo.checks.language import check_language, language_of

from .proposals import proposal


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("What is the capital of France?", "en"),
        ("Nenne drei Gründe, warum der Himmel blau ist.", "de"),
        ("Quelle est la capitale de la France ?", "fr"),
        ("¿Cuál es la capital de España y por qué?", "es"),
        ("Qual é a capital do Brasil e por que não é o Rio?", "pt"),
        ("Qual è la capitale dell'Italia e perché non è Milano?", "it"),
        ("Wat is de hoofdstad van Nederland en waarom is dat niet Den Haag?", "nl"),
        ("Объясни, почему небо голубое и что такое свет.", "ru"),
        ("今天天气很好，我们去公园吧。", "zh"),
        ("東京の天気はどうですか？", "ja"),
        ("오늘 날씨가 어떻습니까?", "ko"),
        ("ما هي عاصمة فرنسا و لماذا هي في هذا المكان؟", "ar"),
        ("Τι είναι η ομίχλη;", "el"),
        ("ಕನ್ನಡ ಭಾಷೆ", "kn"),
        ('Can you provide a translation for "今天天气很好" in German?', "en"),
        ("Why did de Gaulle leave La Rochelle in the end?", "en"),
    ],
)
def test_languages_are_told_apart(text: str, code: str) -> None:
    assert language_of(text) == code


@pytest.mark.parametrize(
    "text",
    ["", "42", "Paris", "Name 3 fruits", "def f(x): return x", "La Morra, Barolo, Diano d'Alba",
     "`der die das und nicht`", "https://de.wikipedia.org/wiki/der_die_das_und"],
)  # fmt: skip
def test_doubt_is_none(text: str) -> None:
    assert language_of(text) is None


def test_a_prompt_keeps_its_language() -> None:
    old = "What is fog and how does it come about?"
    assert check_language(proposal(old, "How does fog come about, and what is it?")).passed
    switched = check_language(proposal(old, "Was ist Nebel und wie kommt es zu ihm?"))
    assert not switched.passed
    assert switched.numbers == {"old": "en", "new": "de"}


def test_an_unknown_language_passes_and_says_so() -> None:
    verdict = check_language(proposal("Name 3 fruits", "Nenne mir drei Sorten, die es hier gibt"))
    assert verdict.passed and verdict.numbers["old"] == "unknown"
