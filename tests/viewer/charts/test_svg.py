"""Elements as text: what is untrusted is escaped, and no number is one that can't be drawn."""

import math
import xml.etree.ElementTree as ET

import pytest

from middo.viewer.charts.marks import Series, Shape, core, legend, many, mark
from middo.viewer.charts.svg import nothing, number, tag, text

from .seen import parsed, texts

HOSTILE = '</text><script>alert("1")</script> onload=\'x\' & "'


def test_text_and_attributes_are_escaped() -> None:
    root = ET.fromstring(tag("g", text(1, 2, HOSTILE), tag("title", HOSTILE), class_=HOSTILE))
    assert root.get("class") == HOSTILE
    assert [one.text for one in root] == [HOSTILE, HOSTILE]
    assert len(list(root.iter())) == 3


def test_a_mark_tells_hostile_text_as_text() -> None:
    root = ET.fromstring(mark(Series("c0", "circle", ""), 1, 2, HOSTILE))
    assert [one.text for one in root] == [HOSTILE]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_no_place_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match="no coordinate"):
        number(value)


@pytest.mark.parametrize(
    ("value", "written"),
    [(1.0, "1"), (-0.01, "0"), (2.25, "2.2"), (-3.5, "-3.5"), (1e6, "1000000")],
)
def test_a_number_has_one_decimal_at_most(value: float, written: str) -> None:
    assert number(value) == written


def test_an_empty_picture_says_why() -> None:
    root = parsed(nothing("map", "Map", "no sample <has> coordinates", 360))
    assert texts(root) == ["no sample <has> coordinates"]


@pytest.mark.parametrize(
    "shape", ["circle", "square", "triangle", "diamond", "kite", "plus", "cross", "dot", "block"]
)
def test_marks_of_a_group_are_one_path_with_a_start_each(shape: Shape) -> None:
    root = ET.fromstring(many(Series("c0", shape, ""), [10.0, 20.0, 30.04], [1.0, 2.0, 3.0]))
    path = root.attrib["d"]
    assert path.count("M") == 3
    assert path.startswith("M10.0 1.0")
    assert "M30.0 3.0" in path


def test_shapes_tell_groups_apart_without_colour() -> None:
    shapes: tuple[Shape, ...] = ("circle", "square", "triangle", "diamond", "kite", "plus", "cross")
    paths = {str(mark(Series("same", shape, ""), 0, 0)).split('d="')[1] for shape in shapes}
    assert len(paths) == len(shapes)


def test_a_legend_breaks_into_rows_that_fit() -> None:
    entries = [Series("c0", "circle", "a rather long name of a group")] * 5
    drawn, high = legend(entries, 0.0)
    root = ET.fromstring(drawn)
    rows = {one.attrib["y"] for one in root if one.tag == "text"}
    assert len(rows) == 5
    assert high == 16 * 5


def test_the_core_leaves_out_what_lies_far_away() -> None:
    values = [float(n) for n in range(100)]
    assert core([*values, 1e9]) == (2.0, 98.0)
    assert core(values) == (0.0, 99.0)
    assert core([math.nan, math.inf]) == (0.0, 0.0)
