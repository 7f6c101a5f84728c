"""The commands of `middo` and their options; what they do is in the modules they name.

    middo run [CONFIG.yaml] [--data PATH] [--out DIR] [--rounds N] [--limit N] [--seed N]
              [--set key=value]... [--dry-run] [--json]

A command function only turns options into a `Task`; `boundary.carry_out` performs it, prints its
reply and returns the exit code. Nothing heavy is imported before a task is performed.
"""

import atexit
import os
import signal
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import __version__
from .boundary import carry_out
from .output import Reply, Task

app = typer.Typer(
    name="middo",
    help="Improve a fine-tuning data set together with the model that learns from it.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config_app = typer.Typer(help="Print configurations.", rich_markup_mode=None)
app.add_typer(config_app, name="config")
providers_app = typer.Typer(help="List and test providers of models.", rich_markup_mode=None)
app.add_typer(providers_app, name="providers")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting by its dotted key; repeatable."),
]
Config = Annotated[Path | None, typer.Argument(metavar="[CONFIG.yaml]", show_default=False)]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


class Format(StrEnum):
    """Forms that data can be exported in."""

    alpaca = "alpaca"
    sharegpt = "sharegpt"
    messages = "messages"
    prompt = "prompt"
    question = "question"
    parquet = "parquet"


class Agent(StrEnum):
    """Agents that ask LLMs."""

    rewriter = "rewriter"
    critic = "critic"
    diagnostician = "diagnostician"


def main() -> None:
    """Run the command line and leave with its exit code."""
    # Called last of all: after it the interpreter takes handlers away, and the code would be lost.
    atexit.register(_on_signals, signal.SIG_IGN)
    sys.unraisablehook = partial(_tell_unraisable, sys.unraisablehook)
    code = carry_out(sys.argv[1:], parse)
    # The reply is out and everything closed; who asks to stop now waits for the interpreter alone.
    _on_signals(lambda *_: os._exit(code))
    sys.exit(code)


def _on_signals(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _tell_unraisable(tell: Callable[[Any], None], error: Any) -> None:
    """Leave out Ctrl-C that met a finalizer, which can't pass it on; the wish is noted anyway."""
    if not isinstance(error.exc_value, KeyboardInterrupt):
        tell(error)


def parse(arguments: Sequence[str]) -> Any:
    """Return the task that a command line names, or the exit code where help was printed."""
    command = typer.main.get_command(app)
    words = list(arguments) or ["--help"]
    return command.main(args=words, prog_name="middo", standalone_mode=False)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    as_json: Json = False,
) -> Task | None:
    if version:
        return lambda: Reply({"version": __version__}, f"middo {__version__}")
    if context.invoked_subcommand is None:
        raise typer.BadParameter("a command is missing", ctx=context)
    return None


@app.command()
def run(
    config: Config = None,
    data: Annotated[str | None, typer.Option(help="Data set to work on.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder [runs/<time>-<id>].")] = None,
    rounds: Annotated[int | None, typer.Option(help="Refinements at most.")] = None,
    limit: Annotated[int | None, typer.Option(help="A random number of the rows.")] = None,
    seed: Annotated[int | None, typer.Option(help="Feeds all randomness.")] = None,
    sets: Sets = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and show the plan.")] = False,
    as_json: Json = False,
) -> Task:
    """Run the whole loop; without CONFIG and --data a small one on the shipped data."""
    from . import loop

    flags = {"data.path": data, "rounds": rounds, "data.limit": limit, "seed": seed}
    choice = loop.Choice(config, flags, tuple(sets or ()))
    return partial(loop.plan, choice) if dry_run else partial(loop.run, choice, out)


@app.command()
def resume(
    folder: RunFolder,
    sets: Sets = None,
    trust: Annotated[bool, typer.Option("--trust", help="Also another user's folder.")] = False,
    as_json: Json = False,
) -> Task:
    """Go on with a run where it stopped."""
    from . import loop

    return partial(loop.resume, folder, tuple(sets or ()), trust)


@app.command()
def status(
    folder: RunFolder,
    watch: Annotated[bool, typer.Option("--watch", help="Follow until the run ends.")] = False,
    as_json: Json = False,
) -> Task:
    """Show where a run stands."""
    from . import runs

    return partial(runs.watch if watch else runs.status, folder)


@app.command("list")
def list_(
    root: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: Json = False,
) -> Task:
    """List the runs of a folder."""
    from . import runs

    return partial(runs.overview, root)


@app.command()
def diagnose(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Data set to look at.")],
    model: Annotated[str, typer.Option(help="Base model.")],
    out: Annotated[Path, typer.Option(help="Folder for signals and diagnosis.")],
    adapter: Annotated[Path | None, typer.Option(help="Adapter of the tuned model.")] = None,
    sets: Sets = None,
    as_json: Json = False,
) -> Task:
    """Measure signals and flag samples, without rewriting any."""
    from . import loop

    choice = loop.Choice(None, {"data.path": data, "model.base": model}, tuple(sets or ()))
    return partial(loop.diagnose, choice, adapter, out)


@app.command()
def explain(
    folder: RunFolder,
    sample: Annotated[str, typer.Argument(metavar="SAMPLE", help="Its id, or the beginning.")],
    as_json: Json = False,
) -> Task:
    """Tell the life of one sample: signals, flags, proposals, what was said of them, its fate."""
    from . import explain as page
    from .output import colours_wanted

    return partial(page.explain, folder, sample, colour=colours_wanted())


@app.command()
def trace(
    folder: RunFolder,
    agent: Annotated[Agent | None, typer.Option(help="Only calls of this agent.")] = None,
    sample: Annotated[
        str | None, typer.Option(metavar="ID", help="Only calls for this sample; a prefix is fine.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only calls without an answer.")] = False,
    slow: Annotated[
        bool, typer.Option("--slow", help="The 20 slowest, the slowest first.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with new calls until the run ends.")
    ] = False,
    as_json: Json = False,
) -> Task:
    """List the LLM calls of a run: who asked what of which model, and what came of it."""
    from . import trace as page

    if slow and follow:
        raise typer.BadParameter("--slow needs all calls and --follow has them one by one: use one")
    wanted = page.Wanted(sample, None if agent is None else agent.value, failed)
    if follow:
        return partial(page.follow, folder, wanted, as_json=as_json)
    return partial(page.show, folder, wanted, slow=slow, as_json=as_json)


@app.command()
def estimate(
    config: Config = None,
    data: Annotated[str | None, typer.Option(help="Data set to work on.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Refinements at most.")] = None,
    limit: Annotated[int | None, typer.Option(help="A random number of the rows.")] = None,
    seed: Annotated[int | None, typer.Option(help="Feeds all randomness.")] = None,
    sets: Sets = None,
    as_json: Json = False,
) -> Task:
    """Tell what a run would take: calls, tokens, money, time, disk."""
    from . import estimate as page
    from . import loop

    flags = {"data.path": data, "rounds": rounds, "data.limit": limit, "seed": seed}
    return partial(page.run, loop.Choice(config, flags, tuple(sets or ())))


@app.command()
def compare(
    config: Config = None,
    arms: Annotated[
        str, typer.Option(metavar="A,B,...", help="Arms to run.")
    ] = "middo,none,random,rewrite-all",
    seeds: Annotated[int, typer.Option(help="Seeds per arm, from the configuration's on.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Folder [runs/compare-<time>-<id>].")] = None,
    data: Annotated[str | None, typer.Option(help="Data set to work on.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Refinements at most.")] = None,
    limit: Annotated[int | None, typer.Option(help="A random number of the rows.")] = None,
    sets: Sets = None,
    as_json: Json = False,
) -> Task:
    """Run the loop and its control arms with several seeds, and tell what each is worth."""
    from . import compare as page
    from . import loop

    flags = {"data.path": data, "rounds": rounds, "data.limit": limit}
    return partial(page.compare, loop.Choice(config, flags, tuple(sets or ())), arms, seeds, out)


@app.command()
def review(
    folder: RunFolder,
    file: Annotated[
        str | None,
        typer.Option("--from", metavar="FILE", help="Decisions as JSON Lines; - is stdin."),
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Who decides [the user].")
    ] = None,
    as_json: Json = False,
) -> Task:
    """Decide on the proposals of a paused run; where there is no terminal, list them."""
    from . import review as page

    if file is not None:
        return partial(page.by_file, folder, file, reviewer)
    here = not as_json and all(s.isatty() for s in (sys.stdin, sys.stdout, sys.stderr))
    return partial(page.at_terminal, folder, reviewer) if here else partial(page.overview, folder)


@app.command()
def export(
    folder: RunFolder,
    to: Annotated[Path, typer.Option(help="File to write: .json, .jsonl, .parquet.")],
    form: Annotated[Format, typer.Option("--format", help="Form of the data.")],
    merge: Annotated[
        bool, typer.Option("--merge", help="Write base and adapter as one model too.")
    ] = False,
    as_json: Json = False,
) -> Task:
    """Write the best round's data to a file, and on request the model beside it."""
    from . import runs

    return partial(runs.export, folder, form.value, to, merge=merge)


@app.command()
def view(
    folder: RunFolder,
    port: Annotated[int | None, typer.Option(help="Port [8710, or a free one].")] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond loopback a token is needed.")
    ] = "127.0.0.1",
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
    as_json: Json = False,
) -> Task:
    """Show a run in the browser: rounds, samples and what agents made of them."""
    from . import view as pages

    return partial(pages.view, folder, host, port, opens=not no_open)


@app.command()
def report(
    folder: RunFolder,
    to: Annotated[Path, typer.Option(help="Folder to write: new, empty or an earlier report.")],
    as_json: Json = False,
) -> Task:
    """Write the pages of a run as files that open without a server and can be mailed."""
    from . import report as files

    return partial(files.report, folder, to)


@app.command()
def doctor(as_json: Json = False) -> Task:
    """Check whether this machine has what a run needs."""
    from . import doctor as checks

    return checks.examine


@providers_app.command("list")
def providers_list(as_json: Json = False) -> Task:
    """List the providers of models: what is installed, which keys are set, where texts go."""
    from . import providers

    return providers.overview


@providers_app.command("test")
def providers_test(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="A model as `provider:model`.")],
    params: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="KEY=VALUE", help="An argument of the model; repeatable."),
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", help="Variable that holds the key.")
    ] = None,
    as_json: Json = False,
) -> Task:
    """Ask a model three short questions and show how it answers."""
    from . import providers

    return partial(providers.probe, spec, tuple(params or ()), api_key_env)


@config_app.command("init")
def config_init(
    to: Annotated[Path | None, typer.Option(help="New file to write [stdout].")] = None,
    as_json: Json = False,
) -> Task:
    """Print a configuration with every key, its meaning and its default."""
    from . import settings

    return partial(settings.init, to)


@config_app.command("show")
def config_show(config: Config = None, sets: Sets = None, as_json: Json = False) -> Task:
    """Print the configuration that a file, the environment and --set give together."""
    from . import settings

    return partial(settings.show, config, tuple(sets or ()))


@config_app.command("schema")
def config_schema(as_json: Json = False) -> Task:
    """Print the JSON schema of a configuration."""
    from . import settings

    return settings.schema
