"""Colours of charts: 3:1 against the surface in both themes, so that marks can be seen."""

import re
from importlib.resources import files

import pytest

STATIC = files("middo.viewer").joinpath("static")
CSS = STATIC.joinpath("middo.css").read_text(encoding="utf-8")
CHARTS = STATIC.joinpath("charts.css").read_text(encoding="utf-8")
COLOURS = dict(
    re.findall(r"--([\w-]+):\s*light-dark\((#[0-9a-f]{6}, #[0-9a-f]{6})\)", CSS, re.IGNORECASE)
)
MARKS = sorted(
    name
    for name in set(re.findall(r"var\(--([\w-]+)\)", CHARTS)) & COLOURS.keys()
    if name.startswith(("cat-", "axis-", "fate-", "chart-line", "chart-beyond", "chart-neutral"))
)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_charts_use_colours_that_are_there() -> None:
    assert len(MARKS) >= 15
    unknown = {
        name
        for name in re.findall(r"var\(--([\w-]+)\)", CHARTS)
        if f"--{name}:" not in CSS + CHARTS
    }
    assert not unknown


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("name", MARKS)
def test_a_mark_stands_out(name: str, theme: int) -> None:
    surface = COLOURS["surface"].split(", ")[theme]
    assert contrast(COLOURS[name].split(", ")[theme], surface) >= 3


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("name", ["accepted", "rejected", "failed", "deferred"])
def test_numbers_inside_of_bars_can_be_read(name: str, theme: int) -> None:
    surface = COLOURS["surface"].split(", ")[theme]
    assert contrast(COLOURS[f"fate-{name}"].split(", ")[theme], surface) >= 4.5
