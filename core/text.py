"""Texts from outside, for messages: on one line, and with nothing that a terminal would obey."""


def printable(text: str) -> str:
    """Return a text on one line, with escapes for what could steer a terminal or isn't UTF-8."""
    if text.isprintable():
        return text
    escaped = (char.encode("unicode_escape").decode("ascii") for char in text)
    return "".join(
        char if char.isprintable() else code for char, code in zip(text, escaped, strict=True)
    )
