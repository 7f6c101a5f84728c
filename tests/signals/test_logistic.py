import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from middo.signals.logistic import fit_logistic


@pytest.mark.parametrize(
    ("sound", "broken", "apart"), [(64, 64, 1.0), (64, 20, 0.2), (24, 24, 9.0)]
)
def test_the_fit_is_that_of_scikit_learn(sound: int, broken: int, apart: float) -> None:
    rng = np.random.default_rng(0)
    real, control = rng.normal(size=(sound, 5)), apart + rng.normal(size=(broken, 5))
    expected = LogisticRegression(class_weight="balanced", tol=1e-10, max_iter=10_000).fit(
        np.concatenate([real, control]), np.repeat([0, 1], [sound, broken])
    )
    coefficients, intercept = fit_logistic(real, control)
    assert coefficients == pytest.approx(expected.coef_[0], abs=1e-3)
    assert intercept == pytest.approx(expected.intercept_[0], abs=1e-3)


def test_signals_without_variation_get_no_weight() -> None:
    coefficients, intercept = fit_logistic(np.zeros((10, 2)), np.zeros((30, 2)))
    assert coefficients == (0.0, 0.0)
    assert intercept == pytest.approx(0.0, abs=1e-9)
