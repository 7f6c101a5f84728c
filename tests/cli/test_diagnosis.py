"""The picture of a diagnosis, line by line."""

from pathlib import Path
from typing import Any

from rich.cells import cell_len

from middo.cli.diagnosis import picture

from .diagnoses import diagnosis, signal_rows


def shown(**changes: Any) -> str:
    return picture(diagnosis(**changes), signal_rows(), Path("out"))


def section(text: str, start: str) -> str:
    """The part of the picture that begins with `start`, up to the next title."""
    parts = text.split("\n" + start, 1)[1]
    lines = parts.split("\n")
    end = next((n for n, line in enumerate(lines[1:], 1) if line[:1].strip()), len(lines))
    return start + "\n".join(lines[:end]).rstrip()


def test_the_head_says_what_was_looked_at() -> None:
    assert (
        shown().split("\n\n")[0]
        == """\
Data        rows.jsonl: 14 rows, 1 quarantined (quarantine.jsonl), 1 left out
            by data.limit
Rows        12 looked at: 11 scored, 1 not (1 x too long)
Model       models/tiny
Adapter     models/lora
Flagged     2 rows: 1 complexity, 1 diversity
Files       out: diagnosis.json, signals.parquet, embeddings.parquet"""
    )


def test_an_axis_is_a_histogram_its_threshold_and_its_curve() -> None:
    assert (
        section(shown(), "Complexity")
        == """\
Complexity: is the row harder for the model than usual?
  Score: the answer's loss above the median at similar lengths, in robust
  standard deviations; the smaller one of base and tuned model.

  -1.25 to -1.00  1  ░░░░░░░░░░░░░░░░░░
  -1.00 to -0.75  0
  -0.75 to -0.50  1  ░░░░░░░░░░░░░░░░░░
  -0.50 to -0.25  0
  -0.25 to  0.00  2  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
   0.00 to  0.25  1  ░░░░░░░░░░░░░░░░░░
   0.25 to  0.50  1  ░░░░░░░░░░░░░░░░░░
   0.50 to  0.75  1  ░░░░░░░░░░░░░░░░░░
   0.75 to  1.00  0
   1.00 to  1.25  0
   1.25 to  1.50  1  ░░░░░░░░░░░░░░░░░░
  ──────────────  threshold 1.50; higher scores lie beyond it (█)
   1.50 to  1.75  0
   1.75 to  2.00  0
   2.00 to  2.25  1  ██████████████████

  Beyond       1 of 9 rows with a score (11.1%)
  Threshold    1.50 = k
  k            1.50, chosen to come nearest to the share in signals.share
  No score     3 rows (2 x answer under 8 tokens, 1 x too long)

  if k were      0.5    1.0    1.5    2.0   3.0   4.0
  rows beyond  30.0%  20.0%  10.0%  10.0%  0.0%  0.0%"""
    )


def test_low_density_is_what_diversity_flags() -> None:
    lines = section(shown(), "Diversity").split("\n")
    place = next(n for n, line in enumerate(lines) if "threshold 0.35;" in line)
    assert all("░" not in line for line in lines[:place])
    assert all("█" not in line for line in lines[place + 1 :])
    text = "\n".join(lines)
    assert "Threshold    0.3500 = mean 0.5000 - k 1.50 x std 0.1000" in text
    assert "Beyond       2 of 11 rows with a score (18.2%), 1 of them flagged: where an" in text
    assert "No score     1 row (1 x too long)" in text


def test_an_axis_that_is_off_says_why() -> None:
    text = shown()
    line = "Quality: off, no kind of broken answer is told from real ones by this model"
    assert section(text, "Quality") == line


def test_a_capped_threshold_and_a_fixed_k_are_explained() -> None:
    document = diagnosis()
    bound = {"mean": 0.8, "std": 0.1, "k": 1.0, "value": 0.5}
    choice = {**document["thresholds"]["complexity_k"], "k": 1.0, "fixed": True}
    document["thresholds"]["quality"] = {**bound, "choice": choice}
    axis = {"on": True, "reason": "", "k": 1.0, "threshold": 0.5, "flagged": 1}
    document["axes"]["quality"] = axis
    rows = [
        {**row, "quality": value}
        for row, value in zip(signal_rows(), [0.1, *[0.9] * 11], strict=True)
    ]
    text = " ".join(section(picture(document, rows, Path("out")), "Quality").split())
    assert "Beyond 1 of 12 rows with a score (8.3%) Threshold 0.5000, since a row above" in text
    assert "mean 0.8000 - k 1.00 x std 0.1000 would be 0.7000 k 1.00, fixed by signals.k" in text


def test_clusters_are_a_table_of_clean_text() -> None:
    assert (
        section(shown(), "Clusters")
        == """\
Clusters of similar prompts (kmeans)

  cluster  rows  share  density  its most typical prompt
        0     7  70.0%   0.5100  Tell me
        1     2  20.0%        -  Name Name Name Name Name Name Name Name Na...
  1 row (10.0%) in no cluster"""
    )


def test_small_clusters_are_summed_up() -> None:
    one = {"medoid": "a", "density": 0.5, "prompt": "Tell"}
    clusters = [{**one, "label": n, "size": 20 - n} for n in range(13)]
    text = shown(clusters={"method": "hdbscan", "noise": 0, "clusters": clusters})
    lines = section(text, "Clusters").split("\n")
    assert len(lines) == 2 + 1 + 10 + 1
    assert lines[-1] == "  … and 3 smaller clusters with 27 rows"


def test_without_embeddings_there_is_no_table() -> None:
    assert section(shown(clusters=None), "Clusters") == (
        "Clusters: none, too few rows have an embedding"
    )


def test_the_calibration_says_what_counts_and_why_not() -> None:
    lines = section(shown(), "Calibration").split("\n")
    assert lines[-6:] == [
        "  broken by  answers   area  95% interval    counts  best signal, alone",
        "  cut             24  0.551  0.450 to 0.660  no      loss 0.69",
        "",
        "  Signals used: none, since no way counts",
        "  The model's own ratings: the mean area changes by +0.0123 (standard error",
        "    0.0200); used",
    ]


def test_ratings_that_were_not_computed_are_said_to_be_so() -> None:
    calibration = diagnosis()["calibration"]
    calibration["ratings"] = {"mass": 0.061, "added": None, "standard_error": None, "kept": False}
    told = section(shown(calibration=calibration), "Calibration").split("\n")
    assert told[-1].strip() == (
        "The model's own ratings: not computed, it gives them 6.1% of its probability"
    )


def test_a_calibration_that_was_not_made_says_why() -> None:
    calibration = {"on": False, "reason": "not among signals.axes", "kinds": []}
    assert section(shown(calibration=calibration), "Calibration") == (
        "Calibration of quality: none, not among signals.axes"
    )


def test_worst_rows_come_with_place_reason_and_clean_text() -> None:
    text = section(shown(), "Worst")
    assert text.startswith("""\
Worst rows of each axis

  complexity, 1 flagged, score above 1.5000: loss unusually high under base and
    tuned model
  2.2500  rows.jsonl:3
          prompt  Explain the tides to me
          answer  The moon pulls.
""")
    assert "0.2000  rows.jsonl:7" in text


def test_reasons_that_differ_stand_at_their_rows() -> None:
    document = diagnosis()
    first = document["worst"][0]
    document["worst"].insert(1, {**first, "score": 1.75, "reason": "loss above all"})
    document["axes"]["complexity"]["flagged"] = 9
    lines = section(picture(document, signal_rows(), Path("out")), "Worst").split("\n")
    assert lines[2:5] == [
        "  complexity, the worst 2 of 9 flagged, score above 1.5000",
        "  2.2500  rows.jsonl:3",
        "          loss unusually high under base and tuned model",
    ]
    assert "          loss above all" in lines


def test_without_flags_no_worst_rows_are_shown() -> None:
    assert "Worst" not in shown(worst=[])


def test_every_line_fits_a_terminal_and_steers_none() -> None:
    text = shown()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert max(map(cell_len, text.split("\n"))) <= 80
