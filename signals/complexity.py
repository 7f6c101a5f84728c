"""Complexity: how much harder than usual an answer or its prompt is for the model.

An answer's score is the smaller of its two standardised losses, (L − centre) / spread within its
bin of answer length: above k under base and tuned model is what the flag means. A prompt's is the
same of its own loss L(p) within its bin of prompt length, under the tuned model: a prompt that
stumbles is unlikely as a text, while its answer is hardly less likely for that. A row's score is
the larger of the two. Centres and spreads are fitted at the first diagnosis and kept, so later
rounds are held to the same thresholds; the tuned model's losses of answers are only shifted by the
change of its hold-out mean since then.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .robust import Floats, Integers, LengthBaseline, baseline_from, fit_baseline, length_edges

SHORTEST_ANSWER = 8
SHORTEST_PROMPT = 8
FEWEST_ROWS = 8
SAME_MODEL = 0.95
"""Correlation of the two losses above which the two models say one and the same thing."""


@dataclass(frozen=True, slots=True)
class ComplexityModel:
    """Usual losses per length under the base model and, where there is one, the tuned one.

    Attributes:
        base: baseline of L_b; None where the axis is off.
        tuned: baseline of L_m; None without a tuned model.
        prompt: baseline of L(p) by prompt length, under the tuned model or, without one, the base
            model; None where prompts were not read, as in runs of versions that did not.
        correlation: Pearson correlation of L_b and L_m over the fitted rows; None without m.
        rows: rows that the fit used.
        reason: why the axis is off; empty where it is on.
    """

    base: LengthBaseline | None
    tuned: LengthBaseline | None
    correlation: float | None
    rows: int
    reason: str = ""
    prompt: LengthBaseline | None = None

    @property
    def on(self) -> bool:
        """Whether rows can be scored at all."""
        return self.base is not None

    @property
    def one_model(self) -> bool:
        """Whether base and tuned losses agree so much that a caution is due."""
        return self.correlation is not None and self.correlation > SAME_MODEL

    def score(
        self,
        loss_base: Floats,
        loss_tuned: Floats | None,
        answer_tokens: Integers,
        shift: float = 0.0,
    ) -> Floats:
        """Return the standardised complexity of each answer, float64[n], 4 decimals.

        −inf marks rows that can't be flagged: a loss that is not finite, or an answer of fewer
        than 8 tokens.

        Args:
            loss_base: float64[n], nats per token.
            loss_tuned: float64[n], nats per token; None without a tuned model.
            answer_tokens: int64[n].
            shift: the tuned model's hold-out mean now, minus that at the fit; nats per token.

        Raises:
            ValueError: losses of a tuned model are given to a model fitted without, or missing.
        """
        if self.base is None:
            return np.full(loss_base.shape, -np.inf)
        score = self.base.standardise(loss_base, answer_tokens)
        usable = np.isfinite(score) & (answer_tokens >= SHORTEST_ANSWER)
        if (self.tuned is None) != (loss_tuned is None):
            raise ValueError("ComplexityModel.score: loss_tuned must be given as it was at the fit")
        if self.tuned is not None and loss_tuned is not None:
            score = np.minimum(score, self.tuned.standardise(loss_tuned - shift, answer_tokens))
        usable &= np.isfinite(score)  # the smaller of an infinite and a finite one is finite
        return np.where(usable, np.round(score, 4), -np.inf)

    def score_prompts(self, loss_prompt: Floats, prompt_tokens: Integers) -> Floats:
        """Return the standardised complexity of each prompt, float64[n], 4 decimals.

        −inf where prompts were not read at the fit, where a loss is not finite, and for a prompt
        of fewer than 8 tokens.

        Args:
            loss_prompt: float64[n], nats per token.
            prompt_tokens: int64[n].
        """
        if self.prompt is None:
            return np.full(loss_prompt.shape, -np.inf)
        score = self.prompt.standardise(loss_prompt, prompt_tokens)
        usable = np.isfinite(score) & (prompt_tokens >= SHORTEST_PROMPT)
        return np.where(usable, np.round(score, 4), -np.inf)

    def prompt_bound(self, prompt_tokens: int, k: float) -> float | None:
        """Return the L(p) above which a prompt of that length counts as complex, nats per token.

        None where no prompt does: the fit read none, or it has fewer than 8 tokens.
        """
        if self.prompt is None or prompt_tokens < SHORTEST_PROMPT:
            return None
        return round(self.prompt.bound(prompt_tokens, k), 4)

    def bound(self, answer_tokens: int, k: float, shift: float = 0.0) -> float:
        """Return the loss above which an answer of that length counts as complex, nats per token.

        It is the tuned model's bound, or the base model's where there is no tuned one.

        Raises:
            ValueError: the axis is off.
        """
        baseline = self.tuned or self.base
        if baseline is None:
            raise ValueError(f"ComplexityModel.bound: the axis is off, {self.reason}")
        return round(baseline.bound(answer_tokens, k) + (shift if self.tuned else 0.0), 4)

    def as_dict(self) -> dict[str, Any]:
        """Return the model as JSON types; `complexity_from` is the inverse."""
        return {
            "base": self.base and self.base.as_dict(),
            "tuned": self.tuned and self.tuned.as_dict(),
            "correlation": self.correlation,
            "rows": self.rows,
            "reason": self.reason,
            "prompt": self.prompt and self.prompt.as_dict(),
        }


def complexity_from(plain: dict[str, Any]) -> ComplexityModel:
    """Rebuild a model from `ComplexityModel.as_dict`, also one of a version without prompts."""
    baselines = {
        key: baseline_from(plain[key]) if plain.get(key) else None
        for key in ("base", "tuned", "prompt")
    }
    return ComplexityModel(**{**plain, **baselines})


def fit_complexity(
    loss_base: Floats,
    loss_tuned: Floats | None,
    answer_tokens: Integers,
    prompts: tuple[Floats, Integers] | None = None,
) -> ComplexityModel:
    """Fit centre and spread per bin of length, for the answers under each model and the prompts.

    Rows with a loss that is not finite or an answer of fewer than 8 tokens are left out. With
    fewer than 8 rows left the model is off and gives the reason. Prompts are left out alike, and
    with fewer than 8 of them none is ever complex.

    Args:
        loss_base: float64[n], nats per token.
        loss_tuned: float64[n], nats per token; None where no tuned model differs from the base.
        answer_tokens: int64[n].
        prompts: L(p), float64[n], nats per token, and prompt tokens, int64[n]; None where prompts
            were not read.
    """
    usable = np.isfinite(loss_base) & (answer_tokens >= SHORTEST_ANSWER)
    if loss_tuned is not None:
        usable &= np.isfinite(loss_tuned)
    rows = int(usable.sum())
    if rows < FEWEST_ROWS:
        reason = f"fewer than {FEWEST_ROWS} scored rows have answers of {SHORTEST_ANSWER} tokens"
        return ComplexityModel(None, None, None, rows, reason)
    tokens = answer_tokens[usable]
    edges = length_edges(tokens)
    base = fit_baseline(loss_base[usable], tokens, edges)
    prompt = None if prompts is None else _fit_prompts(*prompts)
    if loss_tuned is None:
        return ComplexityModel(base, None, None, rows, prompt=prompt)
    tuned = fit_baseline(loss_tuned[usable], tokens, edges)
    agreement = correlation(loss_base[usable], loss_tuned[usable])
    return ComplexityModel(base, tuned, agreement, rows, prompt=prompt)


def _fit_prompts(losses: Floats, tokens: Integers) -> LengthBaseline | None:
    usable = np.isfinite(losses) & (tokens >= SHORTEST_PROMPT)
    if usable.sum() < FEWEST_ROWS:
        return None
    return fit_baseline(losses[usable], tokens[usable], length_edges(tokens[usable]))


def correlation(loss_base: Floats, loss_tuned: Floats) -> float | None:
    """Return the Pearson correlation of two losses (float64[n]) over rows where both are finite.

    None where fewer than three rows are left or one of the two (nearly) never varies.
    """
    usable = np.isfinite(loss_base) & np.isfinite(loss_tuned)
    base, tuned = loss_base[usable], loss_tuned[usable]
    if base.size < 3 or np.ptp(base) == 0 or np.ptp(tuned) == 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):  # a variance too small for a float
        found = float(np.corrcoef(base, tuned)[0, 1])
    return round(found, 4) if np.isfinite(found) else None
