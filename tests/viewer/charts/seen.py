"""A chart as a reader of XML sees it."""

import xml.etree.ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"


def parsed(markup: str) -> ET.Element:
    """Parse a chart and hold it to what every chart promises."""
    root = ET.fromstring(str(markup))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title")
    assert root.findtext(f"{SVG}desc")
    for element in root.iter():
        assert "style" not in element.attrib
        assert element.tag != f"{SVG}script"
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            assert "nan" not in value.lower().split(), (name, value)
            assert "inf" not in value.lower().split(), (name, value)
    return root


def having(root: ET.Element, tag: str, class_: str) -> list[ET.Element]:
    """Return the elements that carry every one of some classes."""
    wanted = set(class_.split())
    return [
        one for one in root.iter(f"{SVG}{tag}") if wanted <= set((one.get("class") or "").split())
    ]


def texts(root: ET.Element) -> list[str]:
    return [one.text or "" for one in root.iter(f"{SVG}text")]


def place(element: ET.Element, *names: str) -> tuple[float, ...]:
    return tuple(float(element.attrib[name]) for name in names)
