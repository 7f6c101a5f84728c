"""Start a run, or go on with one: folder, lock, signals, checkpoints, exit states.

`config.yaml` and `run.json` are written before anything heavy is loaded, so that a run that is
killed at once can be resumed. LangGraph's checkpoint says which node is next; the run's own
database makes repeating a node harmless.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Any

from ..core.config import CHANGEABLE, RunConfig, config_hash, hashed_part
from ..core.disk import disk_error
from ..core.errors import (
    BudgetReached,
    ConfigError,
    Interrupted,
    MiddoError,
    StorageError,
    UsageError,
)
from ..core.ids import short_hash
from ..core.progress import Note, Report, silent
from ..formats.configuration import dump_config, load_kept
from ..stores.database import usable
from ..stores.lock import NAME as LOCK
from ..stores.lock import refuse_owned, run_lock
from ..stores.runs import CONFIG, PARTIAL, RUN_JSON, make_folder, read_run, write_run, write_text
from ..telemetry.endpoint import check_endpoint
from .state import LoopState

CHECKPOINTS = "checkpoints.db"


def run(
    config: RunConfig,
    out: Path | str | None = None,
    *,
    report: Report = silent,
    given: Sequence[Path] = (),
) -> dict[str, Any]:
    """Run the whole loop and return the document of `run.json`.

    With `review: true` it returns with the status `paused` where proposals wait for a person.

    Args:
        config: what to run.
        out: the run folder, new or empty; default `runs/<time>-<short id>`.
        report: receives progress events.
        given: run folders whose models, and what those measured, may be taken over where a training
            is the same.

    Raises:
        UsageError: the configuration, data or a model can't be used; or `out` holds a run.
        RunLocked: another process is working on the run that `out` holds.
        ProviderError, BudgetReached, TooManyFailures, Interrupted: it stopped and can be resumed.
        StorageError: the disk refuses what has to be kept; the run can be resumed.
    """
    folder = Path(out) if out is not None else _default_folder(config)
    refuse_owned(folder)
    _refuse_used(folder, config)
    from .preflight import check

    check(config)
    make_folder(folder)
    with _owned(folder, report):
        _refuse_used(folder, config)  # another process may have begun, and ended, since
        write_text(folder / CONFIG, dump_config(config))
        write_run(folder, {"run": folder.name, "status": "running", "rounds": []})
        return _drive(folder, config, report, given)


def resume(
    folder: Path | str,
    *,
    sets: Sequence[str] = (),
    trust: bool = False,
    report: Report = silent,
    given: Sequence[Path] = (),
) -> dict[str, Any]:
    """Go on with a run where it stopped; a finished run's document is returned as it is.

    Args:
        folder: the run folder.
        sets: `key=value` changes; only keys in `core.config.CHANGEABLE` may change.
        trust: go on also where the folder belongs to another user.
        report: receives progress events.
        given: as for `run`.

    Raises:
        UsageError: another user's folder, and `trust` does not say that its code may run.
        ConfigError: `sets` would change the data; the message names the keys.
        UsageError: what is set can't be used here, as an endpoint without its packages.
        RunLocked: another process is working on the run.
        StorageError: the disk refuses what has to be kept; the run can be resumed.
    """
    folder = Path(folder)
    document = _document(folder)
    config = load_kept(folder / CONFIG, sets)
    if not trust and document.get("status") != "finished":
        from .trust import refuse_foreign

        refuse_foreign(folder, folder / CONFIG, config)
    with _owned(folder, report):
        refuse_changed(folder, config)
        document = _document(folder)  # its last owner may have ended it meanwhile
        if document.get("status") == "finished":
            return document
        check_endpoint(config.traces)
        if sets:
            write_text(folder / CONFIG, dump_config(config))
        return _drive(folder, config, report, given)


def _document(folder: Path) -> dict[str, Any]:
    """Return `run.json`; nothing where a run's is missing or damaged: the ledger composes it."""
    if not (folder / CONFIG).exists():
        return read_run(folder)
    try:
        return read_run(folder)
    except UsageError:
        return {}


@contextmanager
def _owned(folder: Path, report: Report) -> Iterator[None]:
    """Own the run folder; what its disk refuses is told in one line that says how to go on."""
    try:
        with run_lock(folder, note=lambda text: report(Note(text))):
            yield
    except Exception as error:
        refused = disk_error(error, folder)
        if refused is None:
            raise
        again = f"`middo resume {folder}`" if (folder / CONFIG).exists() else "run it again"
        raise StorageError(f"{refused}, then {again}") from error


def _drive(
    folder: Path, config: RunConfig, report: Report, given: Sequence[Path]
) -> dict[str, Any]:
    """Run the graph from its checkpoint, and leave a true status behind however it ends."""
    stop = Event()
    with _stop_on_signals(stop):  # from the imports, which take seconds, until all is closed
        return _drive_until(stop, folder, config, report, given)


def _drive_until(
    stop: Event, folder: Path, config: RunConfig, report: Report, given: Sequence[Path]
) -> dict[str, Any]:
    # Read by langgraph at import: state may hold JSON types only.
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from .deps import open_run
    from .document import write_document
    from .restoring import refuse_other

    deps = open_run(folder, config, report=report, should_stop=stop.is_set, given=given)
    try:
        refuse_other(deps, config)
    except BaseException:
        deps.close()
        raise
    try:
        deps.facts.put_once("config_hash", config_hash(config))
        deps.facts.put_once("started", datetime.now(UTC).isoformat(timespec="seconds"))
        write_document(deps, "running")  # a resumed run is not paused or interrupted any more
        status = "paused" if _run_loop(deps) else "finished"
        deps.keep_seconds()
        return write_document(deps, status)
    except BaseException as error:
        # Where a store fails now too, what ended the run is told; `running` without an owner is
        # read as interrupted.
        with suppress(MiddoError):
            deps.keep_seconds()
        with suppress(MiddoError):
            write_document(deps, _status(error))
        raise
    finally:
        deps.close()


def _run_loop(deps: Any) -> bool:
    """Run the loop here, or in a thread of its own where an event loop runs here (notebooks).

    Returns whether it pauses for a person.
    """
    if asyncio._get_running_loop() is None:
        return asyncio.run(_loop(deps))
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _loop(deps)).result()


async def _loop(deps: Any) -> bool:
    from ..providers.privacy import tracing

    # The stores speak for themselves: what SQLite says here is of the checkpoints.
    with tracing(deps.config.traces.langsmith), usable(deps.folder / "checkpoints.db"):
        return await _work(deps)


async def _work(deps: Any) -> bool:
    async with opened_graph(deps) as (graph, thread):
        before = await graph.aget_state(thread)
        begun = before.values
        start: LoopState | None = None if begun else {"round": 0, "source_round": 0, "stop": ""}
        if begun:
            from .restoring import restore
            from .retracing import retrace

            await asyncio.to_thread(retrace, deps)
            for node in before.next[:1]:
                await restore(deps, begun, node)
        # A node that waits for a person runs again without an answer: it reads the run's database.
        await graph.ainvoke(start, thread, durability="sync")
        return bool((await graph.aget_state(thread)).interrupts)


@asynccontextmanager
async def opened_graph(deps: Any) -> AsyncIterator[tuple[Any, Any]]:
    """Open the compiled loop over a run folder's checkpoints, with the thread to invoke it on."""
    from langchain_core.runnables import RunnableConfig

    from .build import build_graph
    from .checkpoints import Checkpoints
    from .threads import use_threads

    use_threads(deps.config.refinement.concurrency)
    path = deps.folder / CHECKPOINTS
    try:
        async with Checkpoints.from_conn_string(str(path)) as saver:
            thread: RunnableConfig = {
                "configurable": {"thread_id": "run"},
                "recursion_limit": 10_000,
            }
            try:
                yield build_graph(deps, saver), thread
            finally:
                await deps.hang_up()
    except Exception as error:
        # The stores speak for themselves: what SQLite itself says here is of the checkpoints.
        refused = disk_error(error, path)
        if refused is None:
            raise
        raise refused from error


def _status(error: BaseException) -> str:
    if isinstance(error, BudgetReached):
        return "budget"
    if isinstance(error, Interrupted | KeyboardInterrupt | asyncio.CancelledError):
        return "interrupted"
    return "failed"


@contextmanager
def _stop_on_signals(stop: Event) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into a wish to stop; nodes look at it between units of work."""
    if current_thread() is not main_thread():
        yield
        return

    def wish(number: int, frame: object) -> None:
        if stop.is_set():  # asked twice: the user wants out now
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, wish) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _default_folder(config: RunConfig) -> Path:
    moment = time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{moment}-{short_hash([config_hash(config), time.time_ns()])[:6]}"


def _refuse_used(folder: Path, config: RunConfig) -> None:
    if folder.is_file():
        raise UsageError(f"{folder}: is a file; name a folder for the run with --out")
    if (folder / RUN_JSON).exists() or (folder / CONFIG).exists():
        refuse_changed(folder, config)
        raise UsageError(
            f"{folder}: holds this run already; go on with `middo resume {folder}`,"
            " or name another folder with --out"
        )
    # A run that was killed before its configuration was whole leaves nothing of worth.
    remains = {LOCK, CONFIG + PARTIAL}
    if folder.exists() and any(path.name not in remains for path in folder.iterdir()):
        raise UsageError(f"{folder}: is not empty; name a new folder for the run with --out")


def refuse_changed(folder: Path, config: RunConfig) -> None:
    """Raise where the folder's configuration differs in a key that bears on the data.

    Raises:
        ConfigError: it does; the message names the keys.
    """
    stored = load_kept(folder / CONFIG)
    if config_hash(stored) == config_hash(config):
        return
    names = ", ".join(_differences(hashed_part(stored), hashed_part(config)))
    raise ConfigError(
        f"{folder}: the run has another configuration ({names}); only {', '.join(CHANGEABLE)} can"
        " change in a run: start a new one with --out"
    )


def _differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        parts = (_differences(old.get(k), new.get(k), f"{prefix}{k}.") for k in keys)
        return [name for part in parts for name in part]
    return [] if old == new else [f"{prefix.rstrip('.')}: {old!r} -> {new!r}"]
