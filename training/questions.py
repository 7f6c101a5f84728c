"""The six rating questions, in the order of `core.measures.RATINGS`.

They are short, since each is computed for every row: the answer is the expected value over the
tokens of the digits 1 to 5. The wording was chosen among four, by how well models of three sizes
tell true answers from damaged ones (docs/performance.md).
"""

from functools import cached_property

from .tokens import Tokens, Unscored

SCALE = "Reply with one digit from 1 (very poor) to 5 (excellent)."
PROMPT_QUESTIONS = (
    f"Grade the clarity of my request. {SCALE}",
    f"Grade how complete my request is. {SCALE}",
    f"Grade how accurate the statements in my request are. {SCALE}",
)
ANSWER_QUESTIONS = (
    f"Grade the clarity of the answer that you just gave. {SCALE}",
    f"Grade how fully the answer that you just gave fulfils my request. {SCALE}",
    f"Grade the factual accuracy of the answer that you just gave. {SCALE}",
)


class Questions:
    """The questions in one template, and the tokens that count as ratings.

    Attributes:
        ids: token ids of the ratings; those of 1 to 5 that are a single token here.
        values: the rating that each of `ids` stands for.
    """

    def __init__(self, tokens: Tokens) -> None:
        """Write the questions in the template.

        Raises:
            Unscored: the template refuses them, or fewer than two ratings are single tokens.
        """
        self._tokens = tokens
        self._prompt = [tokens.follow_up(question) for question in PROMPT_QUESTIONS]
        self._answer = [tokens.follow_up(question) for question in ANSWER_QUESTIONS]
        self._after_prompt: dict[str, list[list[int]]] = {}
        before = tokens.encode_text(self._answer[0])
        self.ids: list[int] = []
        self.values: list[int] = []
        for value in range(1, 6):
            after = tokens.encode_text(self._answer[0] + str(value))
            if len(after) == len(before) + 1 and after[:-1] == before:
                self.ids.append(after[-1])
                self.values.append(value)
        if len(self.ids) < 2:
            raise Unscored("the tokenizer has no single tokens for numbers")

    def after_prompt(self, rest: str) -> list[list[int]]:
        """Return the ids of the three turns that follow a prompt.

        Args:
            rest: text that closes the prompt's turn and shares a token with what follows.
        """
        if rest not in self._after_prompt:
            texts = [rest + text for text in self._prompt]
            self._after_prompt[rest] = [self._tokens.encode_text(text) for text in texts]
        return self._after_prompt[rest]

    @cached_property
    def after_answer(self) -> list[list[int]]:
        """The ids of the three turns that follow the answer."""
        return [self._tokens.encode_text(text) for text in self._answer]
