"""The example's script with stand-ins for vLLM and Middo; the real ones need minutes."""

import os
import subprocess
from pathlib import Path

import pytest

from middo.formats.configuration import load_config
from middo.providers.resolve import hosts

EXAMPLE = Path(__file__).parents[2] / "examples" / "vllm_server"


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Python that finds a model, and a server that is healthy once `up` exists."""
    python = script(
        tmp_path / "python",
        f'case "$2" in *resolve_model*|*find*) echo /the/model;; *) test -e {tmp_path}/up;; esac',
    )
    middo = script(tmp_path / "middo", f'echo "$@" >>{tmp_path}/asked')
    return {**os.environ, "PYTHON": str(python), "MIDDO": str(middo)}


def run(tmp_path: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [EXAMPLE / "run.sh", tmp_path / "vllm", "--limit", "22"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


SERVER = """echo "$0 $@" >{place}/served; trap "touch {place}/ended; exit 0" TERM
touch {place}/up; while :; do sleep 0.05; done"""


@pytest.mark.parametrize(
    ("has_package", "started"),
    [(True, "vllm serve"), (False, "python -m vllm.entrypoints.openai.api_server --model")],
)
def test_middo_runs_once_the_server_answers_and_the_server_is_ended(
    tmp_path: Path, environment: dict[str, str], has_package: bool, started: str
) -> None:
    binaries = tmp_path / "vllm" / "bin"
    server = SERVER.format(place=tmp_path)
    asked_for = f"test $1 = -c && exit {int(not has_package)}"
    script(binaries / "python", f"{asked_for}\n{server}")
    script(binaries / "vllm", server)
    done = run(tmp_path, environment)
    assert done.returncode == 0, done.stderr
    served = (tmp_path / "served").read_text(encoding="utf-8")
    assert served.startswith(f"{binaries}/{started} /the/model --served-model-name smollm2-135m")
    assert "--host 127.0.0.1 " in served
    asked = (tmp_path / "asked").read_text(encoding="utf-8")
    assert asked == f"run {EXAMPLE}/config.yaml --limit 22\n"
    assert (tmp_path / "ended").exists()


def test_a_server_that_ends_shows_its_last_lines(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    script(tmp_path / "vllm" / "bin" / "python", "echo no such device; exit 1")
    done = run(tmp_path, environment)
    assert done.returncode == 3
    assert "vLLM has ended; its last lines:\nno such device" in done.stderr
    assert not (tmp_path / "asked").exists()


def test_its_configuration_names_the_server_that_the_script_starts() -> None:
    config = load_config(EXAMPLE / "config.yaml")
    address = hosts(config.agents.rewriter)
    assert address == "127.0.0.1:8765"
    assert f"http://{address}" in (EXAMPLE / "run.sh").read_text(encoding="utf-8")
