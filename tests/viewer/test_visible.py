from markupsafe import Markup

from middo.viewer.visible import MOST_SHOWN, plain, shown, visible


def test_markup_in_a_text_stays_text() -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    assert visible(hostile) == Markup.escape(hostile)


def test_hidden_characters_are_shown_by_their_code_points() -> None:
    shown = visible("a\u202eb\x00c\x1b[31md\u200be\ufeff")
    for code in ("U+202E", "U+0000", "U+001B", "U+200B", "U+FEFF"):
        assert f">{code}</span>" in shown
    for char in "\u202e\x00\x1b\u200b\ufeff":
        assert char not in shown
    assert 'title="right-to-left override"' in shown
    assert 'title="control character"' in shown


def test_line_breaks_and_tabs_are_kept_and_a_lone_return_is_shown() -> None:
    assert visible("a\r\nb\n\tc") == "a\nb\n\tc"
    assert "U+000D" in visible("a\rb")


def test_joiners_of_writing_are_left_alone() -> None:
    family, persian = "\U0001f468\u200d\U0001f469", "می\u200cخواهم"
    assert visible(family) == family
    assert visible(persian) == persian


def test_a_lone_surrogate_can_be_sent() -> None:
    assert visible("x\ud800y").encode() == b"x" + visible("\ud800").encode() + b"y"
    assert "U+D800" in visible("\ud800")


def test_plain_text_has_marks_without_markup() -> None:
    assert plain("a\u202e<b>") == "a<U+202E><b>"


def test_a_text_of_a_megabyte_is_shown_whole() -> None:
    text = "<\u202e" * 200_000
    assert visible(text).count("U+202E") == 200_000


def test_of_a_very_long_text_the_beginning_is_shown_and_the_rest_counted() -> None:
    whole = "w" * MOST_SHOWN
    assert shown(whole) == whole
    cut = shown(whole + "<\u202e" * 617)
    assert cut.startswith(whole + '<span class="left-out">')
    assert "… 1,234 characters more, whole in <code>middo explain --json</code>" in cut
    assert "U+202E" not in cut and "&lt;" not in cut


def test_joiners_that_belong_to_no_writing_are_marked() -> None:
    for text in ("wo\u200drd", "a\u200c", "\u200cstart", "क\u200d\u200c\u200dष"):
        assert "hidden-char" in visible(text), text
    assert str(visible("क\u200d\u200cष")).count("hidden-char") == 1
