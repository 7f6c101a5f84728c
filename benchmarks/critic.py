"""Does each gate catch what it should? Sound and bad proposals to the same parents.

    python -m benchmarks.critic --data FILE... --model SPEC --out FILE.jsonl [--run FOLDER]

`gate_cases.py` makes the cases from mr_gsm8k, self_instruct and disfl_qa: of two proposals to one
parent a gate should pass one and refuse the other. Every check, the critic and the proof are asked
by themselves, then the chain as a run has it, one attempt. Told are shares of accepted proposals
with Wilson's 95 % intervals: a gate is worth something as far as the two sides lie apart.

`--model none` asks no LLM: the chain is then checks and proof. `--run` names a run folder with a
diagnosis, such as the one that `benchmarks.defects detection` leaves in `OUT/run`; its model and
thresholds prove. Without it nothing is proved, and the tables say so.

Each finished case is a line of `--out`; the same command goes on after the last one.
"""

import argparse
import asyncio
import hashlib
import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.asking import opened_critic
from benchmarks.critic_tables import report
from benchmarks.gate_cases import Case, read_cases
from benchmarks.gates import Gates, opened_proof
from benchmarks.machine import write
from benchmarks.seeding import read_lines
from middo.checks.context import Embed
from middo.curation.scores import wilson
from middo.providers.embedders import load_embedder

SIDES = ("sound", "bad")
BOUNDS = (0.3, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8)
"""Lower ends of the similarity band that are tried; 0.45 is the default for a changed prompt."""
NONE = "none"


def main(argv: Sequence[str], embed: Embed | None = None) -> int:
    """Judge what is left to judge, and print the tables; `embed` None loads the default one."""
    choice = parsed(argv)
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    logging.basicConfig(level=logging.ERROR)
    try:
        cases = read_cases(choice.data, choice.limit, choice.seed)
    except ValueError as error:
        sys.exit(f"--data: {error}")
    name = Path(choice.model).name
    about = {"model": name, "proof": proof_of(choice.run), "seed": choice.seed}
    lines = finished(choice.out, about)
    left = [case for case in cases if case.id not in {line["id"] for line in lines}]
    if left:
        with ExitStack() as stack:
            critic = None
            if choice.model != NONE:
                critic = stack.enter_context(opened_critic(choice.model))
            prove = None if choice.run is None else stack.enter_context(opened_proof(choice.run))
            gates = Gates(embed or load_embedder("minilm"), critic, prove)
            lines += asyncio.run(judge_all(gates, left, choice.out, about))
    wanted = {case.id for case in cases}
    asked = [line for line in lines if line["id"] in wanted]
    document = {"benchmark": "critic", **about, **summed(asked)}
    print(report(document))
    if choice.json:
        write(choice.json, document)
    return 0


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.critic", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--data", nargs="+", required=True, help="files of the three data sets")
    parser.add_argument("--model", required=True, help="the critic, provider:model, or `none`")
    parser.add_argument("--run", type=Path, help="run folder whose model proves")
    parser.add_argument("--out", type=Path, required=True, help="JSON Lines of finished cases")
    parser.add_argument("--limit", type=int, default=50, help="parents of each data set at most")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args(argv)


def proof_of(run: Path | None) -> str | None:
    """Return what names the diagnosis that proofs rest on; None where nothing is proved."""
    if run is None:
        return None
    place = run / "rounds" / "0" / "diagnosis.json"
    if not place.is_file():
        sys.exit(f"--run: {run} has no diagnosis of round 0; name a run that was diagnosed")
    return hashlib.sha256(place.read_bytes()).hexdigest()[:12]


def finished(path: Path, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the finished cases; those of another critic or seed end the benchmark."""
    if not path.exists():
        return []
    lines = read_lines(path)
    if any(line["about"] != about for line in lines):
        sys.exit(f"{path}: holds cases of another model, run or seed; name another --out")
    # A line that was cut by a kill is taken away, so that the next one begins on its own.
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return lines


async def judge_all(
    gates: Gates, cases: Sequence[Case], path: Path, about: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Judge cases one after the other and write each down."""
    found = []
    started = time.monotonic()
    with path.open("a", encoding="utf-8") as file:
        for number, case in enumerate(cases, 1):
            begun = time.monotonic()
            said = await gates.judge(case)
            line = {
                "id": case.id,
                "data": case.data,
                "side": case.side,
                "kind": case.kind,
                **said,
                "seconds": round(time.monotonic() - begun, 2),
                "about": dict(about),
            }
            file.write(json.dumps(line) + "\n")
            file.flush()
            found.append(line)
            if sys.stderr.isatty():
                eta = (time.monotonic() - started) / number * (len(cases) - number)
                print(f"\r{number}/{len(cases)}, {eta:.0f} s left ", end="", file=sys.stderr)
    return found


def summed(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many cases of each data set and side every gate accepts, and by kind of damage."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    kinds: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    seconds = 0.0
    for line in lines:
        groups.setdefault((line["data"], line["side"]), []).append(line)
        seconds += line["seconds"]
        if line["kind"]:
            kinds.setdefault((line["data"], line["kind"]), []).append(line)
    ordered = sorted(groups.items(), key=lambda one: (one[0][0], SIDES.index(one[0][1])))
    return {
        "seconds": round(seconds, 1),
        "groups": [
            {"data": data, "side": side, **_gates(found)} for (data, side), found in ordered
        ],
        "kinds": [
            {"data": data, "kind": kind, **_gates(found)}
            for (data, kind), found in sorted(kinds.items())
        ],
    }


def _gates(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return for every gate how many cases it was asked and accepted, with Wilson's interval."""
    names = list(dict.fromkeys(name for line in lines for name in line["checks"]))
    asked: dict[str, list[bool]] = {
        "all checks": [all(line["checks"].values()) for line in lines],
        "critic": [line["critic"]["passed"] for line in lines if line["critic"]],
        "proof": [line["proof"]["passed"] for line in lines if line["proof"]],
        "chain": [line["chain"]["passed"] for line in lines],
    }
    each = {
        name: [line["checks"][name] for line in lines if name in line["checks"]] for name in names
    }
    failed = sum(bool(line["critic"]) and line["critic"]["said"] == "failed" for line in lines)
    return {
        "cases": len(lines),
        "gates": {name: _counted(found) for name, found in asked.items()},
        "checks": {name: _counted(found) for name, found in each.items()},
        "bounds": _bounds(lines),
        "critic_without_answer": failed,
        "proof_reasons": dict(Counter(_reasons(lines)).most_common()),
    }


def _bounds(lines: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return how many changed prompts the similarity check would pass with other lower bounds."""
    found = [line["cosine"] for line in lines if line.get("cosine") is not None]
    if not found:
        return {}
    return {f"{low:.2f}": _counted([cosine >= low for cosine in found]) for low in BOUNDS}


def _reasons(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield every reason for which a proof refuses; one proposal can have several."""
    for line in lines:
        if line["proof"] and not line["proof"]["passed"]:
            yield from line["proof"]["reason"].split("; ")


def _counted(found: Sequence[bool]) -> dict[str, Any]:
    if not found:
        return {"asked": 0, "accepted": 0}
    low, high = wilson(sum(found), len(found))
    return {"asked": len(found), "accepted": sum(found), "low": low, "high": high}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
