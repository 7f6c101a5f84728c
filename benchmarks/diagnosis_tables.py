"""What `diagnosis.py` prints: its result as tables, with the figures to reach."""

from typing import Any

from benchmarks.machine import table

TO_REACH = {"parity": 40.0, "full": 25.0, "causal": 1.35, "calibration": 0.15}

FIELDS = ("passes", "tokens", "padding", "tokens_per_second")


def times_faster(document: dict[str, Any]) -> dict[str, float] | None:
    """Return the ratios, without and with loading; None where the reference had no vLLM."""
    reference, seconds = document["reference"], document["middo"]["seconds"]
    if reference["engine"] != "vllm":
        return None
    ratios: dict[str, float] = {}
    for name in ("parity", "full"):
        ratios[name] = reference["total"] / seconds[name]
        brief = reference["total"] - reference["ratings"] + reference["ratings_brief"]
        ratios[f"{name}_brief"] = brief / seconds[name]
        whole = reference["total"] + reference["loading"]
        ratios[f"{name}_with_loading"] = whole / (seconds[name] + seconds["loading"])
    return ratios


def report(document: dict[str, Any]) -> str:
    """Return the result as tables, with what was extrapolated or is missing in words."""
    reference, middo = document["reference"], document["middo"]
    ratios, calibration = document["times_faster"], document["calibration"]
    each = reference["seconds"]
    lines = [
        f"{document['model']}, {document['rows']} rows of {document['data']},"
        f" {document['dtype']}, seconds (reference: {reference['engine']},"
        f" {reference['rows']} rows)",
        "",
        table(
            [
                ["base loss", each["loss_base"], *[middo["loss_base"]["seconds"]] * 2],
                ["tuned loss", each["loss_tuned"], None, None],
                ["prompt embedding", each["embedding"], None, None],
                ["six ratings", each["ratings"], None, None],
                ["... brief, not counted", each["ratings_brief"], None, None],
                ["tuned model, one pass", None, *(middo[n]["seconds"] for n in ("parity", "full"))],
                [
                    f"together, {document['rows']} rows"
                    + (" (reference extrapolated)" if reference["extrapolated"] else ""),
                    reference["total"] if ratios else None,
                    *(middo["seconds"][name] for name in ("parity", "full")),
                ],
                ["loading, not counted", reference["loading"], *[middo["seconds"]["loading"]] * 2],
            ],
            ["step", "reference", "Middo, same results", "Middo, all signals"],
        ),
        "",
        *(
            f"of the reference's {6 * reference['rows']} {name} {found['without_number']} hold no"
            f" number from 0 to 10, {found['at_the_limit']} ran into the token limit;"
            f" {found['tokens']:,} tokens generated"
            for name, found in (
                ("ratings", reference["answers"]["ratings"]),
                ("brief ratings", reference["answers"]["ratings_brief"]),
            )
        ),
        "losses of the two sides differ by at most"
        f" {document['loss_differences']['base']:.2g} (base) and"
        f" {document['loss_differences']['tuned']:.2g} (tuned) nats",
        "",
        table(
            [
                [name, *(middo[key][field] for field in FIELDS)]
                for name, key in (
                    ("base, loss", "loss_base"),
                    ("tuned, same results", "parity"),
                    ("tuned, all signals", "full"),
                )
            ],
            ["scoring", "passes", "tokens", "padding", "tokens/s"],
        ),
        f"peak memory: Middo {middo['peak_memory_mb']} MB, reference"
        f" {reference['peak_memory_mb']} MB",
        "",
        table(list(verdicts(document)), ["figure", "measured", "to reach", ""]),
        "",
        f"calibration: {calibration['calibration_seconds']:.0f} s and"
        f" {calibration['calibration_tokens']:,} tokens with {calibration['calibration_rows']} rows"
        + (f", axis off ({calibration['off']})" if calibration["off"] else "")
        + "; the diagnosis after it measures"
        f" {', '.join(calibration['asks']['earned'])};"
        f" {calibration['rows_measured']} rows measured"
        + (", 1,000 extrapolated by tokens" if calibration["extrapolated"] else "")
        + f", {calibration['rows_taken_over']['earned']} taken over from the calibration",
    ]
    if ratios is None:
        lines.append(
            "no ratio to the reference: it ran without vLLM (give --reference-python; see"
            " benchmarks/README.md)"
        )
    elif reference["extrapolated"]:
        lines.append(f"the reference is extrapolated from {reference['rows']} rows")
    return "\n".join(lines)


def verdicts(document: dict[str, Any]) -> list[list[Any]]:
    """Return the figures with a bound, and whether each is reached."""
    ratios, calibration = document["times_faster"], document["calibration"]
    rows: list[list[Any]] = []

    def add(name: str, value: float, bound: str, at_least: bool) -> None:
        limit = TO_REACH[bound]
        met = value >= limit if at_least else value <= limit
        rows.append([name, value, limit, "reached" if met else "missed"])

    if ratios is not None:
        add("same results, times faster", ratios["parity"], "parity", True)
        rows.append(["... loading counted", ratios["parity_with_loading"], None, ""])
        rows.append(["... brief ratings", ratios["parity_brief"], None, ""])
        add("all signals, times faster", ratios["full"], "full", True)
        rows.append(["... loading counted", ratios["full_with_loading"], None, ""])
        rows.append(["... brief ratings", ratios["full_brief"], None, ""])
    for name, found in zip(("same results", "all signals"), document["causal"], strict=True):
        add(f"{name}, times a causal pass", found["ratio"], "causal", False)
    share, tokens = calibration["share"], calibration["share_of_tokens"]
    add("calibration, share of 1,000 rows", share["earned"], "calibration", False)
    rows.append(["... of the tokens", tokens["earned"], None, ""])
    rows.append(["... all signals measured", share["all"], None, ""])
    rows.append(["... of the tokens", tokens["all"], None, ""])
    return rows
