"""The oracle of the scorer's tests: each signal by a pass of its own, as transformers does it.

Nothing of Middo's tokens, layout, masks or reading is used: text from the chat template, one
`model(input_ids)` per question, and the definitions of the signals written out.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from middo.core.measures import Item
from middo.training.questions import ANSWER_QUESTIONS, PROMPT_QUESTIONS
from middo.training.sources import load_causal_lm, load_tokenizer

DIGITS = range(1, 6)
"""The ratings; each is a single token in the tokenizers used here."""

Turn = tuple[str, str]
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says of one content: per token, by its characters within the content."""

    ids: dict[Place, int]
    losses: dict[Place, float]
    entropies: dict[Place, float]
    end: float

    def mean(self, places: list[Place]) -> float:
        return float(np.mean([self.losses[place] for place in places])) if places else 0.0


class PlainPasses:
    """A model asked one question at a time."""

    def __init__(self, folder: Path, dtype: str = "float32") -> None:
        self.model = load_causal_lm(folder, dtype, "cpu")
        self.tokenizer = load_tokenizer(folder)

    def signals(self, item: Item) -> dict[str, Any]:
        """Return every signal by the name that `Measured` has for it."""
        turns: list[Turn] = [(message.role, message.content) for message in item.messages]
        prompt, answer = turns[-2][1], turns[-1][1]
        system = [turn for turn in turns[:1] if turn[0] == "system"]
        said = self.said(turns)
        losses = np.array(list(said.losses.values()))
        alone = self.said([*system, ("user", ""), ("assistant", answer)])
        alone_losses = np.array(list(alone.losses.values()))
        before = self.said(turns[:-1])
        after = self.said([*system, ("user", answer), ("assistant", prompt)])
        kept = _unrepeated(before, said)
        both = [p for p in kept if p in after.losses and after.ids[p] == before.ids[p]]
        of_prompt = [self.rating(turns[:-1], text) for text in PROMPT_QUESTIONS]
        of_answer = [self.rating(turns, text) for text in ANSWER_QUESTIONS]
        return {
            "answer_tokens": len(losses),
            "prompt_tokens": len(before.losses),
            "loss": losses.mean(),
            "end": said.end,
            "peak": (losses - np.array(list(said.entropies.values()))).max(),
            "alone": alone_losses.mean(),
            "opening": alone_losses[:8].mean() - losses[:8].mean(),
            "copied": 1 - len(kept) / len(before.losses),
            "looped": _looped(list(said.ids.values())),
            "prompt": before.mean(both),
            "reverse": after.mean(both),
            "gain": alone_losses.mean() - losses.mean(),
            "recoverability": before.mean(both) - after.mean(both),
            "ratings": [rating for rating, _ in (*of_prompt, *of_answer)],
            "rating_mass": np.mean([mass for _, mass in of_answer]),
            "embedding": self.embedding(turns[:-1]),
        }

    def prompt(self, item: Item) -> float:
        """Return L(p) where it is asked for by itself: over all tokens that no answer repeats."""
        turns: list[Turn] = [(message.role, message.content) for message in item.messages]
        before = self.said(turns[:-1])
        return before.mean(_unrepeated(before, self.said(turns)))

    def said(self, turns: list[Turn]) -> Said:
        """Return what the model says of the last turn's content."""
        text = self._text(turns)
        start = text.rindex(turns[-1][1])
        ids, places, out = self._run(text)
        logs = out.logits[0].float().log_softmax(-1)
        inside = _inside(places, start, start + len(turns[-1][1]))
        names = {n: (max(places[n][0] - start, 0), places[n][1] - start) for n in inside}
        last = inside[-1] + 1
        return Said(
            ids={names[n]: ids[n] for n in inside},
            losses={names[n]: -float(logs[n - 1, ids[n]]) for n in inside},
            entropies={names[n]: -float((logs[n - 1].exp() * logs[n - 1]).sum()) for n in inside},
            end=-float(logs[last - 1, ids[last]]),
        )

    def rating(self, turns: list[Turn], question: str) -> tuple[float, float]:
        """Return the expected value of the digit that answers a question, and all their mass."""
        _, _, out = self._run(self._text([*turns, ("user", question)], generate=True))
        digits = [self.tokenizer.convert_tokens_to_ids(str(n)) for n in DIGITS]
        masses = out.logits[0, -1].float().softmax(-1)[digits].double()
        mass = float(masses.sum())
        return float(sum(n * one for n, one in zip(DIGITS, masses, strict=True))) / mass, mass

    def embedding(self, turns: list[Turn]) -> NDArray[np.float32]:
        """Return the mean last hidden state of the last turn's content without its first token."""
        text = self._text(turns)
        start = text.rindex(turns[-1][1])
        _, places, out = self._run(text)
        inside = _inside(places, start, start + len(turns[-1][1]))
        found: NDArray[np.float32] = out.hidden_states[-1][0, inside[1:]].float().mean(0).numpy()
        return found

    def _text(self, turns: list[Turn], generate: bool = False) -> str:
        messages = [{"role": role, "content": content} for role, content in turns]
        return str(
            self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=generate
            )
        )

    def _run(self, text: str) -> tuple[list[int], list[Place], Any]:
        coded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        with torch.inference_mode():
            out = self.model(torch.tensor([coded["input_ids"]]), output_hidden_states=True)
        return coded["input_ids"], coded["offset_mapping"], out


def _inside(places: list[Place], start: int, end: int) -> list[int]:
    return [n for n, (first, last) in enumerate(places) if start <= first and last <= end]


def _unrepeated(prompt: Said, answer: Said) -> list[Place]:
    """Return the prompt's tokens outside of runs of three that the answer holds too."""
    spoken, places = list(answer.ids.values()), list(prompt.ids)
    runs = {tuple(spoken[n : n + 3]) for n in range(len(spoken) - 2)}
    repeated: set[int] = set()
    for n in range(len(places) - 2):
        if tuple(prompt.ids[place] for place in places[n : n + 3]) in runs:
            repeated |= {n, n + 1, n + 2}
    return [place for n, place in enumerate(places) if n not in repeated]


def _looped(answer: list[int]) -> float:
    """Return the share of tokens in runs of five that begin at another place of the answer too."""
    starts = range(len(answer) - 4)
    again = {
        start + step
        for start in starts
        for other in starts
        for step in range(5)
        if start != other and answer[other : other + 5] == answer[start : start + 5]
    }
    return len(again) / len(answer)
