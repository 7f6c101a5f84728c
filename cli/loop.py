"""`middo run`, `resume` and `diagnose`: the commands that work with models."""

import logging
import os
import secrets
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.config import RunConfig
from ..core.errors import ConfigError, Interrupted, MiddoError, RunLocked, UsageError
from ..core.progress import Event, Note, Report
from ..core.redaction import redact
from ..formats.configuration import load_config, load_kept
from ..stores.runs import CONFIG, RUN_JSON
from .boundary import Unexpected
from .output import Reply, clean
from .plan import hosts_lines, plan_document, plan_text
from .progress import display
from .summary import summary_text

DEMO = Path(__file__).with_name("demo.yaml")
DEMO_DATA = "demo"


@dataclass(frozen=True)
class Choice:
    """What the command line says about the configuration."""

    path: Path | None
    flags: Mapping[str, object]
    sets: Sequence[str]

    def config(self) -> RunConfig:
        """Return the configuration; without a file and other data, the shipped small run."""
        config = load_config(self.path, flags=self.flags, sets=self.sets)
        data = self.flags.get("data.path")
        if self.path is None and data is None and config.data.path == DEMO_DATA:
            return load_config(None, preset=DEMO, flags=self.flags, sets=self.sets)
        return config


def run(choice: Choice, out: Path | None) -> Reply:
    """Run the loop and reply with its summary, also where it stopped before its end."""
    config = choice.config()
    folder = out if out is not None else default_folder()
    # A folder that holds a run already is refused; its document is not this run's.
    is_new = not (folder / RUN_JSON).exists()
    keep_quiet()
    from ..graph.run import run as run_loop

    heading = [f"run folder {folder}", *hosts_lines(config)]
    return _shown(
        folder, lambda report: run_loop(config, folder, report=headed(heading, report)), is_new
    )


def resume(folder: Path, sets: Sequence[str], trust: bool = False) -> Reply:
    """Go on with a run and reply with its summary."""
    keep_quiet()
    from ..graph.run import resume as resume_loop

    heading = []
    if (folder / CONFIG).is_file():
        heading = hosts_lines(load_kept(folder / CONFIG, sets))
    return _shown(
        folder,
        lambda report: resume_loop(folder, sets=sets, trust=trust, report=headed(heading, report)),
        True,
    )


def plan(choice: Choice) -> Reply:
    """Check configuration, data and models and reply with the plan; nothing is written."""
    config = choice.config()
    keep_quiet()
    from ..graph.preflight import preflight

    found = preflight(config)
    return Reply(plan_document(config, found), plan_text(config, found))


def diagnose(choice: Choice, adapter: Path | None, out: Path) -> Reply:
    """Write signals and diagnosis of a data set and reply with a picture of them."""
    config = choice.config()
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out: {out} is a file; name a folder, new or of the same diagnosis")
    keep_quiet()
    from ..graph.diagnose import diagnose as diagnose_data
    from ..stores.tables import read_signals
    from .diagnosis import COLUMNS, picture

    with display(sys.stderr) as report:
        document = diagnose_data(config, adapter, out, report=report)
    rows = read_signals(out / "signals.parquet", columns=COLUMNS)
    return Reply(document, picture(document, rows, out))


class WithoutKeys(logging.Formatter):
    """Write log records, exceptions included, without the keys that libraries may put in them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text, redacted."""
        return redact(super().format(record))


def headed(lines: Sequence[str], report: Report) -> Report:
    """Return a report that tells `lines` before its first event, once the run really begins."""
    waiting = list(lines)

    def tell(event: Event) -> None:
        while waiting:
            report(Note(waiting.pop(0)))
        report(event)

    return tell


def default_folder() -> Path:
    """Return a new run folder's name: `runs/<time>-<short id>`."""
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def _shown(folder: Path, work: Callable[[Report], dict[str, Any]], is_own: bool) -> Reply:
    """Do the work under the progress display; a stopped run still shows what it has done."""
    try:
        with display(sys.stderr) as report:
            document = work(report)
    except (ConfigError, RunLocked):
        raise
    except KeyboardInterrupt as error:
        raise Interrupted(_interrupted(folder)) from error
    except MiddoError as error:
        if not is_own or not (folder / RUN_JSON).exists():
            raise
        from ..stores.runs import read_run

        document = {**read_run(folder), "error": redact(clean(error))}
        text = summary_text(document, folder)
        return Reply(document, text, error.exit_code, str(error))
    except Exception as error:
        raise Unexpected(folder) from error
    return Reply(document, summary_text(document, folder))


def _interrupted(folder: Path) -> str:
    if (folder / CONFIG).exists():
        return f"interrupted; `middo resume {folder}` goes on"
    return "interrupted before the run began; start it again"


def keep_quiet() -> None:
    """Turn off what libraries print on their own, unless MIDDO_DEBUG=1 asks for it."""
    from ..training.device import quiet_environment

    for name, value in quiet_environment().items():
        os.environ.setdefault(name, value)
    handler = logging.StreamHandler()
    handler.setFormatter(WithoutKeys("%(name)s: %(message)s"))
    if os.environ.get("MIDDO_DEBUG") == "1":
        logging.basicConfig(level=logging.INFO, handlers=[handler])
        return
    logging.basicConfig(level=logging.ERROR, handlers=[handler])
    warnings.simplefilter("ignore")
