"""The six rating questions, in the order of `core.measures.RATINGS`.

They are short, since each is computed for every row: the answer is the expected value over the
tokens of the numbers 0 to 10.
"""

from .tokens import Tokens, Unscored

SCALE = "Reply with one number from 0 (worst) to 10 (best)."
PROMPT_QUESTIONS = (
    f"How clear is my message above? {SCALE}",
    f"Does my message above hold all that is needed to answer it? {SCALE}",
    f"How free of false statements is my message above? {SCALE}",
)
ANSWER_QUESTIONS = (
    f"How clear is your answer above? {SCALE}",
    f"How completely does your answer above do what I asked? {SCALE}",
    f"How correct are the facts in your answer above? {SCALE}",
)


class Questions:
    """The questions as text of one template, and the tokens that count as ratings.

    Attributes:
        prompt: texts of the three turns that follow the prompt.
        answer: texts of the three turns that follow the answer.
        ids: token ids of the ratings; those of 0 to 10 that are a single token here.
        values: the rating that each of `ids` stands for.
    """

    def __init__(self, tokens: Tokens) -> None:
        """Write the questions in the template.

        Raises:
            Unscored: the template refuses them, or fewer than two ratings are single tokens.
        """
        self.prompt = [tokens.follow_up(question) for question in PROMPT_QUESTIONS]
        self.answer = [tokens.follow_up(question) for question in ANSWER_QUESTIONS]
        before = tokens.encode_text(self.answer[0])
        self.ids: list[int] = []
        self.values: list[int] = []
        for value in range(11):
            after = tokens.encode_text(self.answer[0] + str(value))
            if len(after) == len(before) + 1 and after[:-1] == before:
                self.ids.append(after[-1])
                self.values.append(value)
        if len(self.ids) < 2:
            raise Unscored("the tokenizer has no single tokens for numbers")
