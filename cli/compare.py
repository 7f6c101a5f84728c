"""`middo compare`: arms of the loop against each other, as a table, a document and a picture."""

import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..core.amounts import several
from ..core.errors import ConfigError, Interrupted, MiddoError, RunLocked
from ..core.redaction import redact
from ..inspection.figures import DASH, aligned, count, duration, loss
from .loop import Choice, headed, keep_quiet
from .output import Reply, clean, labelled
from .plan import hosts_lines
from .progress import display

if TYPE_CHECKING:
    from ..curation.comparison import Arm

Document = Mapping[str, Any]
_LABEL, _WIDTH = 12, 96


def compare(choice: Choice, arms: str, seeds: int, out: Path | None) -> Reply:
    """Run the arms and reply with what they are worth, also where a run stopped before its end."""
    config = choice.config()
    wanted = tuple(word.strip() for word in arms.split(",") if word.strip())
    folder = out if out is not None else _default_folder()
    keep_quiet()
    from ..graph.comparing import COMPARISON, PICTURE
    from ..graph.comparing import compare as compare_arms
    from ..stores.runs import read_json, write_text

    heading = [f"comparison {folder}", *hosts_lines(config)]
    try:
        with display(sys.stderr) as report:
            told = headed(heading, report)
            document = compare_arms(
                config, cast("tuple[Arm, ...]", wanted), seeds, folder, report=told
            )
    except (ConfigError, RunLocked):
        raise
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted; the same command with --out {folder} goes on") from error
    except MiddoError as error:
        if not (folder / COMPARISON).exists():
            raise
        plain = {**read_json(folder / COMPARISON), "error": redact(clean(error))}
        again = f"{error}; the same command with --out {folder} goes on with the comparison"
        return Reply(plain, compared_text(plain, folder), error.exit_code, again)
    write_text(folder / PICTURE, _picture(document))
    return Reply(document, compared_text(document, folder))


def compared_text(document: Document, folder: Path) -> str:
    """Return the arms as a table, then their differences, each with what its interval says."""
    names, seeds = document["arms"], document["seeds"]
    parts = [
        f"Comparison {clean(document['comparison'])}: {clean(document['status'])},"
        f" {several(len(names), 'arm')}, {several(len(seeds), 'seed')}"
        f" ({', '.join(map(str, seeds))})",
        "\n".join(_arm_table(document)),
        "\n".join(_difference_table(document)),
    ]
    tail = []
    if document["differences"]:
        tail += labelled("Pooled", document["pooling"], _LABEL, _WIDTH)
    missing = [seed for seed in seeds if seed not in document["compared_seeds"]]
    if missing and document["compared_seeds"]:
        tail += labelled(
            "Missing", f"seeds not compared yet: {', '.join(map(str, missing))}", _LABEL, _WIDTH
        )
    if document["status"] == "finished":
        tail += labelled("Picture", f"{folder / 'comparison.svg'}", _LABEL, _WIDTH)
    tail += labelled("Runs", f"`middo list --root {folder}`", _LABEL, _WIDTH)
    return "\n\n".join(part for part in (*parts, "\n".join(tail)) if part)


def _arm_table(document: Document) -> list[str]:
    """Return a line per arm: sums over its finished runs, and mean losses."""
    head = ["Arm", "Runs", "Steps", "Refined", "Accepted", "Last round", "Exported", "Time"]
    table = [head]
    for arm in document["arms"]:
        runs = [one for one in document["runs"] if one["arm"] == arm]
        table.append(
            [
                arm,
                count(len(runs)),
                _range([one["steps"] for one in runs]),
                count(sum(one["refined"] for one in runs)),
                count(sum(one["accepted"] for one in runs)),
                loss(_mean([one["last_loss"] for one in runs])),
                loss(_mean([one["export_loss"] for one in runs])),
                duration(sum(one["seconds"] for one in runs)) if runs else DASH,
            ]
        )
    return aligned(table, [False, True, True, True, True, True, True, True])


def _difference_table(document: Document) -> list[str]:
    found = document["differences"]
    if not found:
        return []
    table = [["Against each other", "Model", "Difference", "95% interval", "Says"]]
    table += [_difference(one) for one in found]
    return aligned(table, [False, False, True, False, False])


def _difference(one: Document) -> list[str]:
    name = f"{one['arm']} - {one['against']}"
    model = "last round" if one["of"] == "last" else "exported"
    apart = one["difference"]
    if apart is None:
        return [name, model, DASH, DASH, "no held-out row in common"]
    interval = f"{apart['low']:+.4f} to {apart['high']:+.4f}"
    return [name, model, f"{apart['mean']:+.4f}", interval, apart["says"]]


def _picture(document: Document) -> str:
    from ..viewer.charts.forest import difference_unit, forest

    seeds = len(document["compared_seeds"])
    title = f"Arms compared over {several(seeds, 'seed')}"
    return str(forest(title, list(_apart(document)), difference_unit(seeds)))


def _apart(document: Document) -> Iterator[Any]:
    from ..viewer.charts.forest import Apart

    for one in document["differences"]:
        if (found := one["difference"]) is not None:
            yield Apart(
                f"{one['arm']} \N{MINUS SIGN} {one['against']}",
                one["of"],
                found["mean"],
                found["low"],
                found["high"],
                found["says"],
            )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _range(values: Sequence[int]) -> str:
    if not values:
        return DASH
    low, high = min(values), max(values)
    return count(low) if low == high else f"{low:,} to {high:,}"


def _default_folder() -> Path:
    return Path("runs") / f"compare-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
