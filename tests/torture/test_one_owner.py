"""One process per run folder, whoever starts at the same moment and whoever only looks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from middo import run
from middo.core.errors import RunLocked, UsageError
from middo.graph import preflight
from middo.stores.lock import run_lock
from tests.loop import config, write_rows
from tests.torture.tally import RecordProperty, tell

TRIES, CONTENDERS, LOOKERS = 20, 4, 2
CONTENDER = """
import sys, pathlib
from middo.core.errors import RunLocked
from middo.stores.lock import run_lock
root = pathlib.Path(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    try:
        with run_lock(root / line.strip()):
            print("owns", flush=True)
            sys.stdin.readline()
    except RunLocked as error:
        print(error, flush=True)
        sys.stdin.readline()
    print("left", flush=True)
"""
LOOKER = """
import sys, pathlib
from middo.stores.lock import is_locked
folders = sorted(pathlib.Path(sys.argv[1]).iterdir())
print("ready", flush=True)
while True:
    for folder in folders:
        is_locked(folder)
"""


def start(script: str, root: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert hear(process) == "ready"
    return process


def hear(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def say(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text + "\n")
    process.stdin.flush()


@pytest.mark.timeout(300)
def test_of_those_who_start_together_exactly_one_owns_the_run_while_others_look(
    tmp_path: Path, record_property: RecordProperty
) -> None:
    for number in range(TRIES):
        (tmp_path / f"{number:02}").mkdir()
    lookers = [start(LOOKER, tmp_path) for _ in range(LOOKERS)]
    contenders = [start(CONTENDER, tmp_path) for _ in range(CONTENDERS)]
    try:
        for number in range(TRIES):
            for process in contenders:
                say(process, f"{number:02}")
            heard = sorted(hear(process) for process in contenders)
            assert heard.count("owns") == 1, heard
            refused = [line for line in heard if line != "owns"]
            assert all("working on this run" in line for line in refused), heard
            for process in contenders:
                say(process, "leave")
            assert [hear(process) for process in contenders] == ["left"] * CONTENDERS
        assert all(process.poll() is None for process in lookers), "a looker died"
    finally:
        for process in (*contenders, *lookers):
            process.kill()
            process.communicate()
    tell(record_property, "starts at the same moment", tries=TRIES, refused=TRIES * 3, two_owners=0)


@pytest.mark.timeout(300)
def test_a_second_process_on_a_run_ends_with_75_and_one_line(
    tmp_path: Path, tiny_folder: Path, record_property: RecordProperty
) -> None:
    from middo.formats.configuration import dump_config

    wanted = config(write_rows(tmp_path / "rows.jsonl"), tiny_folder)
    (tmp_path / "wanted.yaml").write_text(dump_config(wanted), encoding="utf-8")
    folder = tmp_path / "run"
    folder.mkdir()
    root = Path(__file__).parents[2]
    commands = [
        ["run", str(tmp_path / "wanted.yaml"), "--out", str(folder)],
        ["resume", str(folder)],
    ]
    with run_lock(folder):
        (folder / "config.yaml").write_text(dump_config(wanted), encoding="utf-8")
        (folder / "run.json").write_text('{"run": "run", "status": "running", "rounds": []}')
        for command in commands:
            ended = subprocess.run(
                [sys.executable, "-m", "middo", *command],
                capture_output=True,
                text=True,
                cwd=root,
                env=os.environ | {"PYTHONPATH": str(root)},
            )
            assert ended.returncode == 75, (command, ended.stderr)
            (line,) = ended.stderr.splitlines()
            assert f"process {os.getpid()} is working on this run" in line
    tell(record_property, "second process on a run", refused=len(commands))


def test_a_run_that_another_process_began_and_left_meanwhile_is_not_written_over(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = config(write_rows(tmp_path / "rows.jsonl"), tiny_folder)
    theirs = "seed: 7  # of another process\n"

    def begun_by_another(_: object) -> None:
        """Stand for the seconds in which the data is looked at: another run begins, and dies."""
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "config.yaml").write_text(theirs, encoding="utf-8")

    monkeypatch.setattr(preflight, "check", begun_by_another)
    with pytest.raises(UsageError) as refused:
        run(wanted, tmp_path / "run")
    assert not isinstance(refused.value, RunLocked)
    assert (tmp_path / "run" / "config.yaml").read_text("utf-8") == theirs
    assert not (tmp_path / "run" / "run.json").exists()
