import json
import os
import subprocess
import sys

import pytest

from middo.cli.output import Reply, clean, shortened, stdout_reserved, write


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hgone", "gone"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\after", "after"),
        ("\x9b31mc1", "31mc1"),
        ("a\r\nb\tc  d", "a b c d"),
        ("bell\x07 back\x08", "bell back"),
        ("abc\u202edcba", "abcdcba"),
        ("zero\u200bwidth", "zerowidth"),
        ("line\u2028break", "line break"),
        ("half \ud800", "half"),
        ("\x1b[31", "31"),
        ("ünï 漢字 🎉", "ünï 漢字 🎉"),
    ],
)
def test_untrusted_text_cannot_steer_the_terminal(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_long_text_is_cut_visibly() -> None:
    assert shortened("abc def ghi", 8) == "abc d..."
    assert shortened("abc", 3) == "abc"
    assert shortened("漢字漢字", 8) == "漢字漢字"
    assert shortened("漢字漢字", 7) == "漢字..."


def test_a_reply_is_text_or_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    reply = Reply({"b": "\x1bé", "a": [1, None]}, "some text", 4, "it\nbroke\x1b[1m!")
    assert write(reply, as_json=False) == 4
    out, err = capsys.readouterr()
    assert (out, err) == ("some text\n", "middo: it broke!\n")
    assert write(reply, as_json=True) == 4
    out, err = capsys.readouterr()
    assert json.loads(out) == reply.document
    assert out.isascii()
    assert "\x1b" not in out


def test_everything_printed_meanwhile_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with stdout_reserved():
        sys.stdout.write("from python\n")
        os.write(1, b"from a library\n")
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
    sys.stdout.write("the reply\n")
    out, err = capfd.readouterr()
    assert out == "the reply\n"
    assert {"from python", "from a library", "from a child"} <= set(err.splitlines())


def test_a_reader_that_leaves_is_no_error() -> None:
    script = "from middo.cli.output import *; write(Reply(0, 'x' * 10**6), as_json=False)"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert err == b""


def test_a_character_that_stdout_lacks_is_replaced() -> None:
    script = "from middo.cli.output import *; write(Reply(0, 'caf\\u00e9'), as_json=False)"
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"caf?\n", b"")


def test_nothing_but_colours_reaches_the_terminal_raw(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J\x1b[2J\u202eevil\x00\x1b\n  next  line"
    write(Reply(None, text), as_json=False)
    assert capsys.readouterr().out == "\x1b[31mred\x1b[0m2Jevil\n  next  line\n"
