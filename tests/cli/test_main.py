from pathlib import Path

import pytest
import yaml

from middo import __version__
from middo.core.config import RunConfig
from middo.formats.configuration import load_config
from middo.stores.runs import write_run

from .conftest import Command
from .documents import finished


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_version_and_help(middo: Command) -> None:
    assert middo("--version").out == f"middo {__version__}\n"
    assert middo("--version", "--json").document == {"version": __version__}
    shown = middo("--help")
    assert shown.code == 0
    commands = ["run", "resume", "status", "list", "diagnose", "export", "config", "doctor"]
    assert all(f"\n  {name} " in shown.out for name in commands)
    assert middo().out == shown.out
    run = middo("run", "--help").out
    flags = ["data", "out", "rounds", "limit", "seed", "set", "dry-run", "json"]
    assert all(f"--{flag}" in run for flag in flags)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["run", "--rouns", "1"], "No such option: --rouns"),
        (["run", "--rounds", "many"], "Invalid value for '--rounds'"),
        (["resume"], "Missing argument"),
        (["export", "r", "--to", "x", "--format", "xml"], "Invalid value for '--format'"),
        (["--json"], "a command is missing"),
        (
            ["run", "--rounds", "-1"],
            "command line: rounds: -1 is not valid; expected an integer of at least 0",
        ),
        (["run", "--limit", "2"], "command line: data.limit: 2 is not valid"),
        (["run", "--set", "rounds"], "--set 'rounds': expected key=value"),
        (["run", "--set", "training.epoch=1"], "unknown key; did you mean 'epochs'?"),
        (["run", "none.yaml"], "none.yaml: no such file"),
        (["run", "--dry-run", "none.yaml"], "none.yaml: no such file"),
        (["config", "show", "none.yaml"], "none.yaml: no such file"),
        (["status", "nowhere"], "nowhere: no run folder"),
    ],
)
def test_wrong_usage_is_exit_2_with_one_line(
    middo: Command, tmp_path: Path, words: list[str], message: str
) -> None:
    ran = middo(*words)
    assert ran.code == 2
    assert ran.err.startswith("middo: ")
    assert message in ran.err
    assert ran.err.count("\n") == 1
    with_json = middo(*words, "--json")
    assert with_json.code == 2
    assert with_json.document["exit_code"] == 2
    assert message in with_json.document["error"]
    assert not list(tmp_path.iterdir())


def test_a_misspelt_key_of_a_file_is_named(middo: Command) -> None:
    Path("run.yaml").write_text("rounds: 1\n\ntraining:\n  epoch: 2\n", encoding="utf-8")
    ran = middo("run", "run.yaml")
    expected = "middo: run.yaml:4: training.epoch: unknown key; did you mean 'epochs'?\n"
    assert (ran.code, ran.out, ran.err) == (2, "", expected)


def test_config_init_writes_a_file_that_runs_read(middo: Command) -> None:
    printed = middo("config", "init")
    assert yaml.safe_load(printed.out) == RunConfig().model_dump(mode="json")
    assert middo("config", "init", "--to", "mine.yaml").code == 0
    assert Path("mine.yaml").read_text(encoding="utf-8") == printed.out
    assert load_config(Path("mine.yaml"), environ={}) == RunConfig()
    again = middo("config", "init", "--to", "mine.yaml")
    assert (again.code, again.err) == (2, "middo: mine.yaml: exists already; name a new file\n")
    assert middo("config", "init", "--json").document["rounds"] == 3


def test_config_show_merges_all_sources(middo: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("run.yaml").write_text("{rounds: 1, seed: 1, gate: {patience: 1}}", encoding="utf-8")
    monkeypatch.setenv("MIDDO_GATE__PATIENCE", "4")
    shown = middo("config", "show", "run.yaml", "--set", "seed=9")
    plain = yaml.safe_load(shown.out)
    assert (plain["rounds"], plain["seed"], plain["gate"]["patience"]) == (1, 9, 4)
    assert middo("config", "show", "run.yaml", "--set", "seed=9", "--json").document == plain


def test_config_schema_is_json_either_way(middo: Command) -> None:
    plain = middo("config", "schema")
    assert plain.document == middo("config", "schema", "--json").document
    assert "rounds" in plain.document["properties"]


# --- status and list ---


def test_status_shows_the_rounds(middo: Command) -> None:
    Path("r").mkdir()
    write_run(Path("r"), finished())
    shown = middo("status", "r")
    assert shown.code == 0
    assert "Run 20261122-100000-ab12cd: finished (all 1 rounds are done)" in shown.out
    assert "1.8124" in shown.out
    assert middo("status", "r", "--json").document == finished()
    assert middo("status", "r", "--watch").out == shown.out  # nothing to wait for


def test_a_run_whose_owner_died_reads_as_interrupted(middo: Command) -> None:
    Path("r").mkdir()
    write_run(Path("r"), {"run": "r", "status": "running", "rounds": []})
    shown = middo("status", "r")
    assert "Run r: interrupted" in shown.out
    assert "`middo resume r` goes on" in shown.out
    assert middo("status", "r", "--json").document["status"] == "interrupted"


def test_list_shows_a_line_per_run(middo: Command) -> None:
    assert middo("list").out == "no runs in runs; `middo run` starts one\n"
    assert middo("list", "--json").document == []
    for name, best in (("one", 1), ("two", None)):
        folder = Path("runs") / name
        folder.mkdir(parents=True)
        write_run(folder, finished(run=name, best_round=best, status="finished"))
    lines = middo("list").out.splitlines()
    assert lines[0].split() == ["Run", "Status", "Rounds", "Best", "Started"]
    assert lines[1].split() == ["one", "finished", "2", "1", "2026-11-22T10:00:00+00:00"]
    assert lines[2].split() == ["two", "finished", "2", "-", "2026-11-22T10:00:00+00:00"]
    assert [run["run"] for run in middo("list", "--json").document] == ["one", "two"]
    assert "no runs in elsewhere" in middo("list", "--root", "elsewhere").out
