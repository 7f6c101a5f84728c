"""index.db: what is written can be found, twice is once, and nothing typed is syntax."""

import sqlite3
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from middo.core.errors import DataError, MiddoError
from middo.core.records import Message, Sample, sample_id
from middo.signals.projection import fit_projection
from middo.stores.index import INDEX_DB, Index, open_index
from middo.stores.index_tables import SCHEMA
from middo.stores.indexing import index_writer
from middo.stores.samples import Version, write_version
from middo.stores.tables import Vectors, write_embeddings, write_signals
from tests.stores.rights import without_rights

FIT = partial(fit_projection, seed=7)


def made(prompt: str, answer: str = "An answer.", **fields: object) -> Sample:
    messages = (Message("user", prompt), Message("assistant", answer))
    return Sample(sample_id(messages), messages, "rows.jsonl:1", **fields)  # type: ignore[arg-type]


TEXTS = {
    "plain": made("Transform the recipe for dinner", "Boil water."),
    "cjk": made("東京の天気は今日も良いです", "はい、良い天気です。"),
    "percent": made("What is 100% of x_y?", "C:\\path and 50% more"),
    "quotes": made('Say "hello" NEAR(here)', "it's -done- *now*; 'DROP TABLE samples"),
    "accents": made("Die GRÖSSE und die Größe", "Ångström É"),
    "nul": made("a\0b zero", "x"),
}


def version(folder: Path, samples: list[Sample]) -> Version:
    write_version(folder, samples, parent=None, made_by={})
    return Version(folder)


def opened(path: Path) -> Index:
    index = open_index(path)
    assert index is not None
    return index


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("index")
    with index_writer(folder / INDEX_DB) as writer:
        writer.add_version(0, version(folder / "0", list(TEXTS.values())))
    return opened(folder / INDEX_DB)


def found(index: Index, text: str) -> set[str]:
    numbers = index.search(text)
    assert numbers is not None
    by_number = {one.number: one.id for one in index.texts(index.ids()).values()}
    names = {sample.id: name for name, sample in TEXTS.items()}
    return {names[by_number[int(number)]] for number in numbers}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("transform", {"plain"}),
        ("RANSFOR", {"plain"}),
        ("dinner recipe", {"plain"}),
        ("boil recipe", {"plain"}),
        ("recipe nowhere", set()),
        ("天気", {"cjk"}),
        ("天", {"cjk"}),
        ("良い天気です", {"cjk"}),
        ("100%", {"percent"}),
        ("%", {"percent"}),
        ("x_y", {"percent"}),
        ("xay", set()),
        ("\\path", {"percent"}),
        ('"hello"', {"quotes"}),
        ('"', {"quotes"}),
        ("NEAR(", {"quotes"}),
        ("near(here)", {"quotes"}),
        ("-done-", {"quotes"}),
        ("*now*", {"quotes"}),
        ("*", {"quotes"}),
        ("'DROP TABLE", {"quotes"}),
        ("'; DROP TABLE samples; --", set()),
        ("prompt:hello", set()),
        ("hello OR recipe", set()),
        ("größe", {"accents"}),
        ("ångström", {"accents"}),
        ("é", {"accents"}),
        ("zero\0recipe", set()),
        ("b\0zero", {"nul"}),
        ("\ud800", set()),
    ],
)
def test_search_takes_everything_as_words(index: Index, text: str, expected: set[str]) -> None:
    assert found(index, text) == expected


@pytest.mark.parametrize("text", ["", "   ", "\0", "\n\t"])
def test_no_words_are_no_search(index: Index, text: str) -> None:
    assert index.search(text) is None


@pytest.mark.parametrize("text", ["x" * 1_000_000, "word " * 200_000, "天" * 300_000, '"' * 99_999])
def test_a_huge_search_ends(index: Index, text: str) -> None:
    numbers = index.search(text)
    assert numbers is not None and not len(numbers)


def test_the_beginning_of_an_id_is_found(index: Index) -> None:
    name = TEXTS["cjk"].id
    assert "cjk" in found(index, name)
    assert "cjk" in found(index, name[:6])
    assert index.starting(name[:6], 5) == [name]


def test_texts_come_back_whole(tmp_path: Path) -> None:
    turns = (
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "Call", "function_call"),
        Message("tool", "42"),
        Message("assistant", "It is 42."),
    )
    sample = Sample(sample_id(turns), turns, "rows.jsonl:9", "rewritten", "abc", 3, {"k": 1})
    with index_writer(tmp_path / INDEX_DB) as writer:
        writer.add_version(0, version(tmp_path / "0", [sample]))
    text = opened(tmp_path / INDEX_DB).text(sample.id)
    assert text is not None
    assert (text.messages, text.prompt, text.answer) == (turns, "Hi", "It is 42.")
    assert (text.source, text.origin, text.parent_id, text.round) == (
        *("rows.jsonl:9", "rewritten", "abc", 3),
    )


def test_a_text_with_nul_comes_back_as_it_was(index: Index) -> None:
    text = index.text(TEXTS["nul"].id)
    assert text is not None
    assert (text.prompt, text.messages) == ("a\0b zero", TEXTS["nul"].messages)


def test_writing_twice_is_writing_once(tmp_path: Path) -> None:
    data = version(tmp_path / "0", list(TEXTS.values()))
    for _ in range(2):
        with index_writer(tmp_path / INDEX_DB) as writer:
            writer.add_version(0, data)
            writer.add_version(0, data)
    index = opened(tmp_path / INDEX_DB)
    assert index.ids() == sorted(sample.id for sample in TEXTS.values())
    assert len(index.rows(0)[0]) == len(TEXTS)
    assert found(index, "transform") == {"plain"}


def test_a_writer_that_was_killed_is_gone_on_from(tmp_path: Path) -> None:
    data = version(tmp_path / "0", [made(f"Question {n}") for n in range(50)])
    with pytest.raises(RuntimeError), index_writer(tmp_path / INDEX_DB) as writer:
        writer.add_version(0, _Breaking(data))  # type: ignore[arg-type]
    assert opened(tmp_path / INDEX_DB).versions() == {}
    with index_writer(tmp_path / INDEX_DB) as writer:
        writer.add_version(0, data)
    index = opened(tmp_path / INDEX_DB)
    assert index.versions() == {0: data.sha256}
    assert len(index.rows(0)[0]) == 50
    numbers = index.search("Question")
    assert numbers is not None and len(numbers) == 50


class _Breaking:
    """A version that can be read only in part."""

    def __init__(self, whole: Version) -> None:
        self._whole = whole
        self.sha256 = whole.sha256

    def __iter__(self) -> object:
        for number, sample in enumerate(self._whole):
            if number == 30:
                raise RuntimeError("killed")
            yield sample


def diagnosed(folder: Path, rows: int = 12) -> tuple[list[str], Vectors]:
    samples = [made(f"Question {n}") for n in range(rows)]
    data = version(folder / "0" / "dataset", samples)
    ids = sorted(sample.id for sample in samples)
    vectors = np.random.default_rng(1).normal(size=(rows - 2, 6)).astype(np.float32)
    write_signals(
        folder / "0" / "signals.parquet",
        {
            "id": ids,
            "source": ["rows.jsonl:1"] * rows,
            "quality": np.linspace(0, 1, rows),
            "neighbours": [[ids[0]]] * rows,
            "flags": [["quality", "complexity"]] + [[]] * (rows - 1),
            "unscored": ["too_long"] + [None] * (rows - 1),
        },
    )
    write_embeddings(folder / "0" / "embeddings.parquet", ids[1 : rows - 1], vectors)
    for _ in range(2):
        with index_writer(folder / INDEX_DB) as writer:
            writer.add_version(0, data)
            writer.add_diagnosis(0, 0, folder / "0", FIT)
    return ids, vectors


def test_signals_flags_and_places_are_kept(tmp_path: Path) -> None:
    ids, vectors = diagnosed(tmp_path)
    index = opened(tmp_path / INDEX_DB)
    assert index.measured(0).tolist() == [index.texts(ids)[name].number for name in ids]
    assert index.neighbours(0, ids[3]) == (ids[0],)
    places = index.places(0)
    assert places.ids == ids[1:-1]
    fitted = fit_projection(lambda: [vectors], len(vectors), 7)
    assert fitted is not None
    assert np.allclose(places.xy, fitted(vectors), atol=1e-4)
    centre = index.centre(0)
    assert centre is not None and np.allclose(centre, vectors.mean(axis=0, dtype=np.float64))
    rows = sqlite3.connect(tmp_path / INDEX_DB).execute(
        "SELECT id, quality, flags, unscored, x IS NULL FROM measured ORDER BY id"
    )
    first = rows.fetchone()
    assert (first[0], first[1], set(first[2].split(",")), first[3:]) == (
        *(ids[0], 0.0, {"quality", "complexity"}, ("too_long", 1)),
    )


def test_embeddings_out_of_order_are_refused(tmp_path: Path) -> None:
    ids, vectors = diagnosed(tmp_path)
    write_embeddings(tmp_path / "0" / "embeddings.parquet", ids[1:-1][::-1], vectors)
    (tmp_path / INDEX_DB).unlink()
    with pytest.raises(DataError, match="in order of id"), index_writer(tmp_path / INDEX_DB) as w:
        w.add_version(0, Version(tmp_path / "0" / "dataset"))
        w.add_diagnosis(0, 0, tmp_path / "0", FIT)


def test_signals_of_a_sample_in_no_data_set_are_refused(tmp_path: Path) -> None:
    ids, _ = diagnosed(tmp_path)
    write_signals(
        tmp_path / "0" / "signals.parquet",
        {"id": sorted([*ids, "f" * 16]), "source": [""] * (len(ids) + 1)},
    )
    problem = "'ffffffffffffffff' is in no data set of the run"
    with pytest.raises(DataError, match=problem), index_writer(tmp_path / INDEX_DB) as writer:
        writer.add_diagnosis(0, 0, tmp_path / "0", FIT)


def test_a_flagged_sample_that_stands_twice_in_signals_is_refused(tmp_path: Path) -> None:
    ids, _ = diagnosed(tmp_path)
    doubled = [ids[0], *ids]
    flags = [["quality"]] * 2 + [[]] * (len(ids) - 1)
    write_signals(
        tmp_path / "0" / "signals.parquet",
        {"id": doubled, "source": [""] * len(doubled), "flags": flags},
    )
    with pytest.raises(MiddoError, match="UNIQUE"), index_writer(tmp_path / INDEX_DB) as writer:
        writer.add_diagnosis(0, 0, tmp_path / "0", FIT)


def test_an_index_of_another_schema_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / INDEX_DB
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE other (x)")
    connection.execute(f"PRAGMA user_version={SCHEMA + 1}")
    connection.close()
    assert open_index(path) is None
    with index_writer(path) as writer:
        writer.add_version(0, version(tmp_path / "0", [TEXTS["plain"]]))
    assert opened(path).ids() == [TEXTS["plain"].id]


def test_what_is_no_index_is_none_to_read_and_one_line_to_write(tmp_path: Path) -> None:
    path = tmp_path / INDEX_DB
    assert open_index(path) is None
    path.write_bytes(b"no database at all, but long enough to be looked at" * 50)
    assert open_index(path) is None
    with pytest.raises(MiddoError, match="can't be written"), index_writer(path):
        pass


def test_a_reader_leaves_nothing_beside_the_index(tmp_path: Path) -> None:
    with index_writer(tmp_path / INDEX_DB) as writer:
        writer.add_version(0, version(tmp_path / "0", list(TEXTS.values())))
    index = opened(tmp_path / INDEX_DB)
    assert len(index.ids()) == len(TEXTS)
    index.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["0", INDEX_DB]


def test_an_index_in_a_folder_that_cannot_be_written_is_read(foreign: Path, tmp_path: Path) -> None:
    with index_writer(foreign / INDEX_DB) as writer:
        writer.add_version(0, version(tmp_path / "0", list(TEXTS.values())))
    foreign.chmod(0o555)
    with without_rights():
        index = opened(foreign / INDEX_DB)
        assert len(index.ids()) == len(TEXTS)
        index.close()
    assert [path.name for path in foreign.iterdir()] == [INDEX_DB]


def test_a_damaged_index_ends_in_one_line(tmp_path: Path) -> None:
    with index_writer(tmp_path / INDEX_DB) as writer:
        writer.add_version(0, version(tmp_path / "0", list(TEXTS.values())))
    connection = sqlite3.connect(tmp_path / INDEX_DB)
    connection.execute("DROP TABLE samples")
    connection.commit()
    connection.close()
    index = opened(tmp_path / INDEX_DB)
    with pytest.raises(MiddoError, match=r"index\.db: can't be read \(no such table: "):
        index.ids()
    index.close()
