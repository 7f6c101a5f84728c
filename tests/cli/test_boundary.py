import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest
import typer

from middo.cli.boundary import Unexpected, carry_out
from middo.cli.output import Reply
from middo.core.errors import (
    BudgetReached,
    ConfigError,
    DataError,
    Interrupted,
    MiddoError,
    ModelError,
    ProviderError,
    RunLocked,
    StorageError,
    TooManyFailures,
    TrainingError,
    UsageError,
)


def fails_with(error: BaseException) -> object:
    def task() -> NoReturn:
        raise error

    return lambda _: task


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (MiddoError, 1),
        (TrainingError, 1),
        (StorageError, 1),
        (UsageError, 2),
        (ConfigError, 2),
        (DataError, 2),
        (ModelError, 2),
        (ProviderError, 3),
        (BudgetReached, 4),
        (TooManyFailures, 5),
        (RunLocked, 75),
        (Interrupted, 130),
    ],
)
def test_each_error_has_its_exit_code_and_one_line(
    kind: type[MiddoError], code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert carry_out([], fails_with(kind("it is\nbroken"))) == code  # type: ignore[arg-type]
    out, err = capfd.readouterr()
    assert (out, err) == ("", "middo: it is broken\n")
    assert carry_out(["--json"], fails_with(kind("it is broken"))) == code  # type: ignore[arg-type]
    out, _ = capfd.readouterr()
    assert json.loads(out) == {"error": "it is broken", "exit_code": code}


def test_an_interrupt_is_130(capfd: pytest.CaptureFixture[str]) -> None:
    assert carry_out([], fails_with(KeyboardInterrupt())) == 130  # type: ignore[arg-type]
    assert capfd.readouterr().err == "middo: interrupted\n"


def test_a_wish_to_terminate_is_130_too(capfd: pytest.CaptureFixture[str]) -> None:
    def task() -> NoReturn:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("went on")

    assert carry_out(["--json"], lambda _: task) == 130
    assert capfd.readouterr().err == "middo: interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_a_command_is_parsed_is_one_line(
    capfd: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    app = typer.Typer()

    @app.command()
    def interrupted() -> None:
        signal.raise_signal(number)

    def parse(words: Sequence[str]) -> object:
        return typer.main.get_command(app).main(args=list(words), standalone_mode=False)

    assert carry_out([], parse) == 130
    assert capfd.readouterr().err.splitlines()[-1] == "middo: interrupted"


def test_an_unexpected_error_keeps_its_traceback_in_a_file(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MIDDO_DEBUG", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert carry_out([], fails_with(ZeroDivisionError("by nothing"))) == 1  # type: ignore[arg-type]
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(
        "middo: internal error: ZeroDivisionError: by nothing; the traceback is in"
    )
    assert err.count("\n") == 1
    (kept,) = tmp_path.glob("middo-*.txt")
    assert str(kept) in err
    assert "Traceback (most recent call last)" in kept.read_text()


def test_an_unexpected_error_of_a_run_is_kept_in_its_folder(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def task() -> NoReturn:
        try:
            raise KeyError("lost")
        except KeyError as error:
            raise Unexpected(tmp_path) from error

    assert carry_out([], lambda _: task) == 1
    assert str(tmp_path / "error.txt") in capfd.readouterr().err
    assert "KeyError: 'lost'" in (tmp_path / "error.txt").read_text()


def test_debug_shows_the_traceback(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MIDDO_DEBUG", "1")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert carry_out([], fails_with(ZeroDivisionError("x"))) == 1  # type: ignore[arg-type]
    assert "Traceback (most recent call last)" in capfd.readouterr().err


def test_a_reply_decides_its_own_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    assert carry_out([], lambda _: lambda: Reply({}, "half done", 4, "budget reached")) == 4
    out, err = capfd.readouterr()
    assert (out, err) == ("half done\n", "middo: budget reached\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_reply_leaves_at_once_with_the_same_code(
    tmp_path: Path, number: signal.Signals
) -> None:
    # A library that is loaded for a command may take its time when the interpreter ends.
    script = (
        "import atexit, sys, time; from middo.cli import main as command;"
        "end = lambda: (print('leaving', flush=True), time.sleep(60));"
        "carry_out = command.carry_out;"
        "command.carry_out = lambda *words: (atexit.register(end), carry_out(*words))[1];"
        "sys.argv = ['middo', 'status', 'nowhere']; command.main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"leaving\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err.startswith(b"middo: nowhere: no run folder")
    assert err.count(b"\n") == 1


def test_a_real_interrupt_leaves_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"run": "r", "status": "running", "rounds": []}')
    holder = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'a+'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('held', flush=True); time.sleep(60)"
    )
    lock = subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "run.lock")], stdout=subprocess.PIPE
    )
    try:
        assert lock.stdout is not None
        assert lock.stdout.readline() == b"held\n"
        watch = subprocess.Popen(
            [sys.executable, "-m", "middo", "status", str(tmp_path), "--watch"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            # A shell that starts the tests in the background has them ignore SIGINT.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert watch.stderr is not None
        assert b"round 0" in watch.stderr.readline()
        time.sleep(0.2)
        watch.send_signal(signal.SIGINT)
        out, err = watch.communicate(timeout=30)
        assert (watch.returncode, out, err) == (130, b"", b"middo: interrupted\n")
    finally:
        lock.kill()
        lock.communicate()


def test_a_key_is_in_no_error_and_no_traceback(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MIDDO_DEBUG", "1")
    monkeypatch.setenv("SOME_API_KEY", "canary-of-the-boundary")

    def task() -> NoReturn:
        try:
            raise KeyError("canary-of-the-boundary")
        except KeyError as error:
            raise Unexpected(tmp_path) from error

    assert carry_out(["--json"], lambda _: task) == 1
    out, err = capfd.readouterr()
    kept = (tmp_path / "error.txt").read_text()
    assert "canary" not in out + err + kept
    assert "KeyError: '[redacted]'" in kept


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("option", [(), ("--json",)])
def test_an_answer_that_does_not_fit_on_the_disk_is_an_error(option: tuple[str, ...]) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "middo", "config", "schema", *option],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ended.returncode == 1
    assert ended.stderr == (
        "middo: standard output: can't be written (No space left on device);"
        " free space on the disk\n"
    )
