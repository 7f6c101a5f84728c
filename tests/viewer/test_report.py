"""The report of a small run folder, which was made by the nodes' own code."""

import csv
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from benchmarks.run_folder import make_run
from middo.core.errors import UsageError
from middo.inspection.record import open_record
from middo.stores.runs import write_run
from middo.viewer.placing import MARKER, place
from middo.viewer.report import Report, write_report
from middo.viewer.spreadsheet import cell
from tests.inspection.folder import Folder

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\u202egnp.exe"


class Page(HTMLParser):
    """Addresses, ids and elements of one HTML file."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.elements: list[str] = []
        self.attributes: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        for name, value in attrs:
            self.attributes.append(name)
            if name in ("href", "src", "action", "srcset", "poster", "data"):
                self.addresses.append(value or "")
            if name == "id" and value:
                self.ids.append(value)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of hostile rows, some twenty of them flagged; nothing was trained for it."""
    folder = tmp_path_factory.mktemp("report")
    row = {"instruction": f"Say {HOSTILE} in your own words", "output": f"=HYPERLINK({HOSTILE})"}
    rows = [{**row, "instruction": f"{number} {row['instruction']}"} for number in range(40)]
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    make_run(folder / "run", str(data), 150, 12)
    return folder / "run"


@pytest.fixture(scope="module")
def report(run: Path) -> Path:
    """The report of that run; tests leave it as it is."""
    folder = run.with_name("report")
    folder.mkdir()
    with open_record(run) as record:
        write_report(record, folder)
    return folder


def flagged(run: Path) -> list[str]:
    """Return the ids of the flagged samples, in order."""
    with open_record(run) as record:
        columns = record.signals(0)
        assert columns is not None
        pairs = zip(columns["id"], columns["flags"], strict=True)
        return sorted(str(name) for name, flags in pairs if flags)


def written(folder: Path, to: Path, most: int = 2_000) -> Report:
    to.mkdir()
    with open_record(folder) as record:
        return write_report(record, to, most)


def pages(report: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(report.rglob("*.html"))}


def broken(report: Path) -> list[str]:
    """Return the addresses that lead nowhere, or out of the folder."""
    found = []
    read = pages(report)
    for path, page in read.items():
        for address in page.addresses:
            parts = urlsplit(address)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            leads = not parts.scheme and not parts.netloc and not parts.path.startswith("/")
            leads = leads and target.is_file() and report.resolve() in target.parents
            if leads and parts.fragment:
                known = read[target].ids if target in read else []
                leads = unquote(parts.fragment) in known
            if not leads:
                found.append(f"{path.relative_to(report)}: {address}")
    return found


def test_every_link_of_a_report_leads_to_a_file_of_it(run: Path, report: Path) -> None:
    assert broken(report) == []
    names = {path.relative_to(report).as_posix() for path in pages(report)}
    assert {f"samples/{name}.html" for name in flagged(run)} <= names
    expected = {"index", "samples", "others", "compare", "round-0", "round-0-axis", "round-0-fate"}
    assert {f"{name}.html" for name in expected} <= names
    links = {link for page in pages(report).values() for link in page.addresses}
    assert any(link.startswith("../others.html#s-") for link in links)


def test_the_walk_of_links_sees_what_is_missing(report: Path, tmp_path: Path) -> None:
    copy = (tmp_path / "report").resolve()
    shutil.copytree(report, copy)
    gone = sorted((copy / "samples").iterdir())[0]
    gone.unlink()
    with (copy / "index.html").open("a", encoding="utf-8") as file:
        file.write('<a href="https://example.com/x">x</a><a href="../run/run.json">y</a>')
    found = broken(copy)
    assert f"samples.html: samples/{gone.name}" in found
    assert "index.html: https://example.com/x" in found
    assert "index.html: ../run/run.json" in found


def test_a_report_asks_nothing_of_a_server(report: Path) -> None:
    for path, page in pages(report).items():
        assert "form" not in page.elements
        assert not [name for name in page.attributes if name.startswith(("hx-", "on", "style"))]
        assert "Content-Security-Policy" in path.read_text(encoding="utf-8")
    assert not (report / "assets" / "htmx.min.js").exists()


def test_a_report_tells_no_path_of_the_machine(run: Path, report: Path) -> None:
    for path in report.rglob("*"):
        assert path.is_dir() or str(run.parent).encode() not in path.read_bytes()


def test_hostile_samples_stand_as_text(run: Path, report: Path) -> None:
    text = (report / "samples" / f"{flagged(run)[0]}.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert" in text and "U+202E" in text and "\u202e" not in text
    for page in pages(report).values():
        assert "img" not in page.elements and "onerror" not in page.attributes


def test_more_flagged_samples_than_pages_are_said_so(run: Path, tmp_path: Path) -> None:
    folder = (tmp_path / "report").resolve()
    told = written(run, folder, most=2)
    every = flagged(run)
    assert (told.flagged, told.samples) == (len(every), 2)
    assert sorted(path.stem for path in (folder / "samples").iterdir()) == every[:2]
    text = (folder / "samples.html").read_text(encoding="utf-8")
    assert f"{len(every)} samples were flagged. The first 2 in order of id have a page" in text
    assert broken(folder) == []


@pytest.mark.parametrize("status", ["running", "failed", "interrupted", "paused"])
def test_a_run_that_has_only_begun_has_a_report(tmp_path: Path, status: str) -> None:
    folder = Folder(tmp_path / "run")
    write_run(folder.path, {**folder.document, "status": status})
    report = (tmp_path / "report").resolve()
    told = written(folder.path, report)
    assert (told.flagged, told.rows) == (0, 0)
    assert broken(report) == []


def test_a_key_that_became_known_later_does_not_leave(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "your own words")
    folder = tmp_path / "report"
    written(run, folder, most=2)
    texts = [path.read_text(encoding="utf-8") for path in folder.rglob("*.html")]
    texts.append((folder / "samples.csv").read_text(encoding="utf-8"))
    assert not any("your own words" in text for text in texts)
    assert sum("[redacted]" in text for text in texts) >= 4


def test_the_whole_table_is_a_csv(run: Path, report: Path) -> None:
    with (report / "samples.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with open_record(run) as record:
        ids = {(str(k), name) for k in record.rounds() for name in record.version(k).ids()}
    assert {(row["round"], row["sample_id"]) for row in rows} == ids
    answers = [row["answer"] for row in rows]
    assert sum(answer.startswith("'=HYPERLINK(") for answer in answers) > 50
    assert not any(answer.startswith("=") for answer in answers)
    marked = [row["sample_id"] for row in rows if row["round"] == "0" and row["flags"]]
    assert sorted(marked) == flagged(run)
    losses = [float(row["loss_base"]) for row in rows if row["loss_base"]]
    assert len(losses) > 100 and 0 < min(losses) < max(losses)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\ufeff=", "\uff1d"])
def test_no_cell_is_a_formula(start: str) -> None:
    assert cell(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


def test_cells_keep_numbers_and_lose_nul() -> None:
    assert cell(-1.5) == -1.5
    assert cell(float("nan")) == cell(None) == ""
    assert cell("a\x00b = c") == "ab = c"
    assert cell("\x00=1") == "'=1"
    assert cell(("complexity", "quality")) == "complexity+quality"


def put(to: Path, text: str) -> None:
    def write(new: Path) -> tuple[None, dict[str, str]]:
        (new / "index.html").write_text(text)
        return None, {}

    place(to, write)


def test_an_earlier_report_is_replaced_whole(tmp_path: Path) -> None:
    to = tmp_path / "new" / "report"
    put(to, "first")
    (to / "stale.html").write_text("stale")
    marker = json.loads((to / MARKER).read_text())
    marker["files"].append("stale.html")
    (to / MARKER).write_text(json.dumps(marker))
    put(to, "second")
    assert (to / "index.html").read_text() == "second"
    assert sorted(path.name for path in to.iterdir()) == ["index.html", MARKER]
    assert [path.name for path in to.parent.iterdir()] == ["report"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    put(tmp_path, "first")
    assert (tmp_path / "index.html").read_text() == "first"


@pytest.mark.parametrize("with_report", [False, True])
def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, with_report: bool) -> None:
    to = tmp_path / "report"
    to.mkdir()
    if with_report:
        put(to, "first")
    (to / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"--to .*holds 'thesis\.txt', which no earlier report"):
        put(to, "second")
    assert (to / "thesis.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_failure_leaves_the_earlier_report(tmp_path: Path) -> None:
    to = tmp_path / "report"
    put(to, "first")

    def fail(new: Path) -> tuple[None, dict[str, str]]:
        (new / "index.html").write_text("half")
        raise UsageError("the run can't be read")

    with pytest.raises(UsageError, match="can't be read"):
        place(to, fail)
    assert (to / "index.html").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--to .*: can't be written"):
        put(tmp_path / "file" / "report", "first")
    with pytest.raises(UsageError, match="is no folder"):
        put(tmp_path / "file", "first")
