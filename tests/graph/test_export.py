from pathlib import Path

import pytest

from middo.core.errors import UsageError
from middo.graph.export import export_run
from middo.stores.lock import run_lock
from middo.stores.runs import write_run


def refused(folder: Path) -> str:
    with pytest.raises(UsageError) as caught:
        export_run(folder, "messages", folder / "out.jsonl")
    assert not (folder / "out.jsonl").exists()
    return str(caught.value)


def test_a_run_under_way_is_to_be_waited_for_and_one_that_stopped_to_be_resumed(
    tmp_path: Path,
) -> None:
    write_run(tmp_path, {"run": "run", "status": "running", "rounds": []})
    with run_lock(tmp_path):
        assert refused(tmp_path) == (
            f"{tmp_path}: the run is going on, and its best round is known when it ends; follow it"
            f" with `middo status {tmp_path} --watch`"
        )
    assert refused(tmp_path) == (
        f"{tmp_path}: the run is interrupted and has no best round yet; go on with"
        f" `middo resume {tmp_path}`"
    )
