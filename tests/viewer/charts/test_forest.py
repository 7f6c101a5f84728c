"""The forest plot: a row per pair, marks in their order, zero in the picture, styles inside."""

import math
from typing import Any

from middo.viewer.charts.axes import breadth
from middo.viewer.charts.forest import Apart, forest
from middo.viewer.charts.marks import Series

from .seen import SVG, having, parsed, place, texts

FOUND = [
    Apart("middo - none", "last", -0.02, -0.03, -0.01, "better"),
    Apart("middo - none", "export", -0.01, -0.02, 0.01, "no measurable difference (0 inside)"),
    Apart("middo - random", "last", 0.004, 0.001, 0.007, "worse"),
]


def test_rods_and_marks_lie_where_their_figures_are() -> None:
    root = parsed(forest("Arms", FOUND, "nats"))
    rods = [place(one, "x1", "x2", "y1") for one in having(root, "line", "rod")]
    assert len(rods) == len(having(root, "path", "point")) - 2 == 3  # two marks in the legend
    zero = place(having(root, "line", "bound")[0], "x1")[0]
    (a, b, y), (c, d, below), (e, f, last) = rods
    assert a < b < zero
    assert c < zero < d
    assert zero < e < f
    assert y < below < last
    assert (b - a) / (f - e) > 3
    words = texts(root)
    assert words.count("middo - none") == 1
    assert "\N{MINUS SIGN}0.0200 [\N{MINUS SIGN}0.0300, \N{MINUS SIGN}0.0100]" in words
    assert "no measurable difference (0 inside)" in (root.findtext(f"{SVG}desc") or "")


def test_it_is_a_file_of_its_own() -> None:
    markup = str(forest("Arms <b>", FOUND, "nats"))
    assert markup.startswith("<svg xmlns=")
    assert "prefers-color-scheme: dark" in (parsed(markup).findtext(f"{SVG}style") or "")
    assert "<b>" not in markup


def test_without_a_figure_it_says_so() -> None:
    odd = [Apart("a - b", "last", math.nan, 0.0, 0.0, "")]
    for found in ([], odd):
        assert texts(parsed(forest("Arms", found, "nats"))) == ["Nothing could be compared."]


def test_other_figures_have_their_own_series_words_and_line() -> None:
    areas = [Apart("cut", "quality", 0.9, 0.8, 0.95, ""), Apart("cut", "form", 0.5, 0.4, 0.6, "")]
    series = {key: Series(key, "circle", f"by {key}") for key in ("form", "quality", "unused")}
    told: dict[str, Any] = {"series": series, "figures": lambda one: f"{one.mean:.1f}"}
    root = parsed(forest("Areas", areas, "area", against=0.5, what="Areas", **told))
    (rule,) = having(root, "line", "bound")
    rods = [place(one, "x1", "x2") for one in having(root, "line", "rod")]
    assert rods[1][0] < place(rule, "x1")[0] < rods[0][0]
    words = texts(root)
    assert words[:2] == ["by form", "by quality"]
    assert {"0.9", "0.5"} < set(words)
    assert root.findtext(f"{SVG}desc") == "Areas. cut, by quality: 0.9; cut, by form: 0.5."
    assert (
        having(parsed(forest("Areas", areas, "area", against=None, **told)), "line", "bound") == []
    )


def test_figures_stay_inside_of_the_picture() -> None:
    wide = Apart("rewrite-all - random", "last", -10.02, -10.03, -10.01, "better")
    root = parsed(forest("Arms", [wide], "nats"))
    right = float(root.attrib["viewBox"].split()[2])
    for one in having(root, "text", "total"):
        assert place(one, "x")[0] + breadth(one.text or "") <= right
    (name,) = having(root, "g", "row")
    written = name.findall(f"{SVG}text")[0]
    assert place(written, "x")[0] >= breadth(written.text or "")
