"""A round as data: what is drawn, what is counted, and what is missing, in words."""

from pathlib import Path

import numpy as np
import pytest

from middo.core.records import Axis
from middo.inspection.calibrated import kinds, ratings
from middo.inspection.figures import cut
from middo.inspection.pictures import RoundPicture, round_picture
from middo.inspection.points import MOST_OTHERS, PLAIN, choose
from middo.inspection.record import open_record
from middo.stores.lock import run_lock

from .diagnosed import KIND, diagnose
from .folder import Folder, numbered

SAMPLES = sorted(numbered(12), key=lambda one: one.id)
LOSSES = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 4.0, 4.5]
QUALITY = [0.1, 0.2, *np.linspace(0.6, 0.9, 10).tolist()]
CLUSTERS = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, -1, -1]
FLAGS = [
    *((SAMPLES[10], Axis.COMPLEXITY), (SAMPLES[11], Axis.COMPLEXITY)),
    *((SAMPLES[0], Axis.QUALITY), (SAMPLES[11], Axis.QUALITY)),
]


def made(tmp_path: Path, **given: object) -> Folder:
    folder = Folder(tmp_path / "run")
    folder.dataset(0, SAMPLES)
    settled = {"losses": LOSSES, "quality": QUALITY, "flags": FLAGS, "clusters": CLUSTERS, **given}
    diagnose(folder, 0, SAMPLES, **settled)  # type: ignore[arg-type]
    return folder


def pictured(folder: Folder, k: int = 0) -> RoundPicture:
    with open_record(folder.path) as record:
        return round_picture(record, k)


def test_each_axis_has_its_bins_its_threshold_and_its_k(tmp_path: Path) -> None:
    axes = {one.view.name: one for one in pictured(made(tmp_path)).axes}
    assert list(axes) == ["complexity", "diversity", "quality"]
    for axis in axes.values():
        assert axis.on
        assert sum(one.count for one in axis.bins) == 12
        assert axis.curve
    assert sum(one.count for one in axes["complexity"].bins if one.beyond) == 2
    facts = dict(axes["quality"].facts)
    assert facts["k"].startswith(f"{axes['quality'].k:.2f}, chosen")
    assert "\N{MINUS SIGN} k" in facts["Threshold"]


def test_an_axis_that_is_off_says_why(tmp_path: Path) -> None:
    axes = pictured(made(tmp_path, off={"quality": "too few rows"})).axes
    assert [(one.on, one.reason) for one in axes][2] == (False, "too few rows")


def test_rows_without_a_score_are_counted_by_reason(tmp_path: Path) -> None:
    axes = pictured(made(tmp_path, tokens=[3, *[20] * 11])).axes
    assert dict(axes[0].facts)["No score"] == "1 row: answer under 8 tokens"
    assert "No score" not in dict(axes[1].facts)


def test_rows_beyond_that_were_refused_before_are_told_apart(tmp_path: Path) -> None:
    folder = made(tmp_path, flags=FLAGS[:1])
    path = folder.path / "rounds/0/diagnosis.json"
    text = path.read_text(encoding="utf-8").replace('"suppressed": 0', '"suppressed": 1', 1)
    path.write_text(text, encoding="utf-8")
    told = dict(pictured(folder).axes[0].facts)["Beyond"]
    assert told.endswith("1 of them flagged: 1 were refused on every attempt before")


def test_points_carry_axes_fates_clusters_and_places(tmp_path: Path) -> None:
    folder = made(tmp_path)
    folder.outcome(0, SAMPLES[10], Axis.COMPLEXITY, "accepted")
    points = pictured(folder).points
    assert points is not None
    assert points.ids == [one.id for one in SAMPLES]
    assert points.prompts[3] == SAMPLES[3].prompt
    assert points.axes == ["quality", *[""] * 9, "complexity", "complexity+quality"]
    assert points.fates == [*[""] * 10, "accepted", ""]
    assert points.clusters.tolist() == CLUSTERS
    assert (points.flagged, points.others, points.of_others) == (3, 9, 9)
    assert np.isfinite(points.xs).all()


def test_the_quadrant_holds_exactly_what_complexity_flags(tmp_path: Path) -> None:
    points = pictured(made(tmp_path)).points
    assert points is not None
    assert points.k is not None
    inside = (points.before > points.k) & (points.after > points.k)
    assert np.flatnonzero(inside).tolist() == [10, 11]


def test_short_answers_are_left_out_of_the_losses_and_counted(tmp_path: Path) -> None:
    points = pictured(made(tmp_path, tokens=[3, *[20] * 11])).points
    assert points is not None
    assert points.too_short == 1
    assert np.isnan(points.before[0])


def test_where_complexity_is_off_losses_stand_as_they_are(tmp_path: Path) -> None:
    points = pictured(made(tmp_path, off={"complexity": "no"})).points
    assert points is not None
    assert (points.unit, points.k) == (PLAIN, None)
    assert points.after.tolist() == LOSSES


def test_all_flagged_rows_and_a_seeded_part_of_the_others_are_drawn() -> None:
    flagged = np.zeros(9000, dtype=np.bool_)
    flagged[::3] = True
    chosen = choose(flagged, 7, 0)
    assert len(chosen) == 3000 + MOST_OTHERS
    assert flagged[chosen].sum() == 3000
    assert (np.diff(chosen) > 0).all()
    assert choose(flagged, 7, 0).tolist() == chosen.tolist()
    assert choose(flagged, 8, 0).tolist() != chosen.tolist()
    assert choose(flagged[:100], 7, 0).tolist() == list(range(100))


def test_clusters_are_held_against_those_of_the_round_before(tmp_path: Path) -> None:
    folder = made(tmp_path)
    folder.dataset(1, SAMPLES)
    # Label 1 was 0 before, but for one row that came from the cluster that is 0 now.
    after = [1, 1, 1, 1, 1, 1, 0, 0, 0, 1, -1, -1]
    diagnose(folder, 1, SAMPLES, losses=LOSSES, quality=QUALITY, flags=FLAGS, clusters=after)
    found = pictured(folder, 1).clusters
    assert found is not None
    assert (found.against, found.common, found.drift) == (0, 12, 0.25)
    rows = {row.label: row for row in found.rows}
    assert (rows[1].before, rows[1].stayed, rows[1].came) == (0, 6, 1)
    assert (rows[0].before, rows[0].stayed, rows[0].came) == (1, 3, 0)
    assert (rows[-1].before, rows[-1].flagged) == (-1, 2)
    assert rows[0].prompt == SAMPLES[6].prompt


def test_without_clusters_there_is_no_table(tmp_path: Path) -> None:
    assert pictured(made(tmp_path, clusters=())).clusters is None


def test_calibration_names_the_best_of_the_signals_that_are_used() -> None:
    (kind,) = kinds({"kinds": [KIND], "signals": ["loss", "end"]})
    assert (kind.best, kind.best_auc) == ("loss", 0.8)  # 0.2 tells as much on its other side
    (bare,) = kinds({"kinds": [KIND], "signals": []})
    assert bare.best == ""


def test_ratings_are_told_with_what_they_add() -> None:
    assert ratings(None) == ""
    assert "7.0% of its probability" in ratings({"mass": 0.07, "added": None})
    kept = ratings({"mass": 0.9, "added": 0.02, "standard_error": 0.005, "kept": True})
    assert kept.endswith("changes by +0.0200 (standard error 0.0050); used")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("running", "still going on"),
        ("finished", "was the last one and was not diagnosed"),
        ("interrupted", "`middo resume`"),
        ("failed", "`middo resume`"),
    ],
)
def test_a_round_without_diagnosis_says_why(tmp_path: Path, status: str, told: str) -> None:
    folder = Folder(tmp_path / "run")
    folder.document["status"] = status
    folder.dataset(0, SAMPLES)
    with run_lock(folder.path), open_record(folder.path) as record:
        picture = round_picture(record, 0)
    assert told in picture.missing
    assert picture.points is None


def test_a_long_prompt_is_cut_and_shows_it() -> None:
    assert cut("x" * 10, 10) == "x" * 10
    assert cut("word " * 5, 11) == "word word…"
