"""A judge that sees only the text's form: what quality has to beat to be worth a model."""

import re
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from middo.signals.logistic import fit_logistic

Floats = NDArray[np.float64]


def form(prompt: str, answer: str) -> list[float]:
    """Return what can be told without a model: length, ending, repetition, overlap."""
    words = answer.split()
    unique = {word.casefold() for word in words}
    asked = {word.casefold() for word in prompt.split()}
    sentences = [part for part in re.split(r"[.!?]\s", answer) if part]
    packed = len(zlib.compress(answer.encode())) / max(len(answer.encode()), 1)
    return [
        float(np.log(max(len(words), 1))),
        float(answer.rstrip()[-1:] in ".!?)\"'"),
        len(unique) / max(len(words), 1),
        packed,
        len(unique & asked) / max(len(unique), 1),
        float(np.mean([len(word) for word in words])) if words else 0.0,
        float(np.log(max(len(words) / max(len(sentences), 1), 1))),
        float(answer[:1].isupper()),
    ]


class FormJudge:
    """One logistic regression per kind on the form, the largest log odds taken."""

    def __init__(self, real: Sequence[list[float]], controls: Mapping[str, Sequence[list[float]]]):
        """Fit on real answers and on controls per kind."""
        everything = np.array([*real, *(one for found in controls.values() for one in found)])
        self._mean, self._scale = everything.mean(axis=0), everything.std(axis=0) + 1e-9
        sound = self._scaled(real)
        self._models = [fit_logistic(sound, self._scaled(found)) for found in controls.values()]

    def odds(self, forms: Sequence[list[float]]) -> Floats:
        """Return log odds of being broken, float64[n]."""
        scaled = self._scaled(forms)
        each = [scaled @ np.asarray(weights) + intercept for weights, intercept in self._models]
        return np.asarray(np.max(each, axis=0))

    def _scaled(self, forms: Sequence[list[float]]) -> Floats:
        scaled: Floats = (np.array(forms) - self._mean) / self._scale
        return scaled
