import xml.etree.ElementTree as ET

import pytest

from middo.inspection.steps import NODES, Standing, standing
from middo.viewer.machine import described, machine

SVG = "{http://www.w3.org/2000/svg}"


def drawn(found: Standing, *, is_tall: bool) -> ET.Element:
    return ET.fromstring(
        str(machine(found, is_tall=is_tall)).replace("<svg", f'<svg xmlns="{SVG[1:-1]}"', 1)
    )


def at_refine(*, reviews: bool) -> Standing:
    entry = {"round": 0, "times": dict.fromkeys(NODES[:5], 61.0)}
    return standing({"status": "running", "rounds": [entry]}, [], reviews=reviews)


@pytest.mark.parametrize("is_tall", [False, True])
@pytest.mark.parametrize("reviews", [False, True])
def test_every_node_is_drawn_once_inside_the_picture(is_tall: bool, reviews: bool) -> None:
    found = at_refine(reviews=reviews)
    picture = drawn(found, is_tall=is_tall)
    _, _, width, height = (float(part) for part in picture.attrib["viewBox"].split())
    boxes = [
        tuple(float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        for box in picture.iter(f"{SVG}rect")
    ]
    assert len(boxes) == len(found.steps) == (9 if reviews else 8)
    for x, y, wide, high in boxes:
        assert x >= 0 and x + wide <= width
        assert y >= 0 and y + high <= height
    overlaps = [
        (one, other)
        for place, one in enumerate(boxes)
        for other in boxes[place + 1 :]
        if abs(one[0] - other[0]) < one[2] + 12 and abs(one[1] - other[1]) < one[3] + 12
    ]
    assert not overlaps


@pytest.mark.parametrize("reviews", [False, True])
def test_edges_are_those_of_the_loop(reviews: bool) -> None:
    picture = drawn(at_refine(reviews=reviews), is_tall=False)
    assert len(list(picture.iter(f"{SVG}polyline"))) == (10 if reviews else 9)


def test_the_current_node_is_lit_and_said_in_words() -> None:
    found = at_refine(reviews=False)
    picture = drawn(found, is_tall=False)
    lit = [node for node in picture.iter(f"{SVG}g") if node.attrib["class"] == "node current"]
    assert ["".join(node.itertext()) for node in lit] == ["refineat work"]
    words = picture.find(f"{SVG}desc")
    assert words is not None and words.text == described(found)
    assert "refine at work" in described(found)
    assert "train done (1 min 01 s)" in described(found)
