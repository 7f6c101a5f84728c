"""The paper's setting is a configuration that Middo takes, with the paper's figures."""

from pathlib import Path

from middo.formats.configuration import load_config

PAPER = Path(__file__).parents[2] / "examples" / "paper.yaml"


def test_the_paper_s_setting_is_read_with_its_figures() -> None:
    config = load_config(PAPER, environ={})
    assert config.model.base == "meta-llama/Llama-3.1-8B"
    assert (config.training.method, config.training.rate, config.training.epochs) == (
        *("full", 2e-5),
        1.0,
    )
    assert config.model.max_length == 4096
    assert config.agents.rewriter.params == {"temperature": 1}
    assert config.signals.neighbours == 2
