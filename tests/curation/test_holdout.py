import random

import pytest

from middo.core.errors import ConfigError
from middo.curation.holdout import choose_holdout, groups, holdout_size, words_of
from middo.curation.shingles import Groups, Shingler, Texts, connect

WORDS = [f"word{i}" for i in range(2000)]


def row(name: str, seed: int, words: int = 30) -> tuple[str, str, str]:
    rng = random.Random(seed)
    return (
        name,
        f"Question {name}: {' '.join(rng.sample(WORDS, 8))}?",
        " ".join(rng.sample(WORDS, words)),
    )


def rows(count: int) -> list[tuple[str, str, str]]:
    return [row(f"id{i:05d}", i) for i in range(count)]


@pytest.mark.parametrize(
    ("total", "size"),
    [(8, 2), (24, 6), (96, 24), (256, 64), (640, 64), (1000, 100), (5000, 500), (52_000, 500)],
)
def test_the_default_size_is_a_tenth_within_bounds(total: int, size: int) -> None:
    assert holdout_size(total) == size


def test_the_choice_is_seeded_and_does_not_depend_on_the_order() -> None:
    data = rows(96)
    chosen = choose_holdout(data, None, seed=7)
    assert len(chosen) == 24
    assert choose_holdout(data[::-1], None, seed=7) == chosen
    assert choose_holdout(data, None, seed=8) != chosen
    assert len(choose_holdout(data, 10, seed=7)) == 10


def test_near_duplicates_are_never_split() -> None:
    data = rows(40)
    for index in range(40):
        name, prompt, answer = data[index]
        data.append((f"copy{index:02d}", prompt.upper(), answer + " indeed"))
    chosen = choose_holdout(data, None, seed=7)
    assert len(chosen) == 20
    for index in range(40):
        assert (f"copy{index:02d}" in chosen) == (f"id{index:05d}" in chosen)


def test_rows_are_grouped_by_prompt_and_by_shared_shingles() -> None:
    name, prompt, answer = row("a", 1, words=60)
    edited = answer.replace(answer.split()[30], "changed")
    half = " ".join(answer.split()[:30]) + " " + row("x", 9)[2]
    data = [
        (name, prompt, answer),
        ("b", prompt.lower().replace("?", " !"), "An answer of its own."),
        ("c", "Please answer: " + prompt, edited),
        ("d", "Something else", half),
        ("e", prompt + " And more of it, to be told apart.", answer),
    ]
    assert groups(data) == [["a", "b", "c", "e"], ["d"]]


def test_a_group_larger_than_the_hold_out_stays_in_training() -> None:
    crowd = [(f"same{i:02d}", "Say hello.", f"Hello number {i}") for i in range(60)]
    chosen = choose_holdout(crowd + rows(40), None, seed=7)
    assert len(chosen) == 25
    assert not any(name.startswith("same") for name in chosen)


def test_prompts_of_signs_alone_are_told_apart() -> None:
    assert groups([("a", "?!", "one"), ("b", "...", "two"), ("c", "?!", "three")]) == [
        ["a", "c"],
        ["b"],
    ]


def test_words_are_found_in_scripts_without_spaces() -> None:
    assert words_of("GPU で動く。ＡＢＣ it's") == ["gpu", "で", "動", "く", "abc", "it", "s"]


def test_more_than_half_of_the_rows_can_not_be_held_out() -> None:
    with pytest.raises(ConfigError, match=r"evaluation.rows: 60 of 96 .* at most 48"):
        choose_holdout(rows(96), 60, seed=7)


def joined(texts: list[list[str]]) -> set[frozenset[int]]:
    """Return the groups that similar texts form."""
    found, shingles, hashed = Groups(), Shingler(), Texts()
    for words in texts:
        found.add()
        hashed.append(shingles(words))
    connect(hashed, found)
    return grouped(found, len(texts))


def grouped(found: Groups, rows: int) -> set[frozenset[int]]:
    members: dict[int, set[int]] = {}
    for index in range(rows):
        members.setdefault(found.root(index), set()).add(index)
    return {frozenset(group) for group in members.values()}


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_the_filter_finds_the_same_groups_as_comparing_all(seed: int) -> None:
    rng = random.Random(seed)
    texts = []
    for _ in range(40):
        words = rng.choices(WORDS[:60], k=rng.randrange(1, 90))
        texts.append(words)
        for _ in range(5):
            other = list(rng.choice(texts[-3:]))
            for _ in range(rng.randrange(0, 4)):
                other[rng.randrange(len(other))] = rng.choice(WORDS)
            texts.append(other)
    rng.shuffle(texts)
    sets = [{tuple(t[i : i + 5]) for i in range(max(1, len(t) - 4))} if t else set() for t in texts]
    expected, pairs = Groups(), 0
    for _ in texts:
        expected.add()
    for j in range(len(texts)):
        for i in range(j):
            if len(sets[i] & sets[j]) >= 0.7 * len(sets[i] | sets[j]):
                expected.join(i, j)
                pairs += 1
    assert pairs > 100
    assert joined(texts) == grouped(expected, len(texts))


def test_empty_texts_are_in_no_group() -> None:
    assert joined([[], []]) == {frozenset([0]), frozenset([1])}
    assert joined([["yes"], ["yes"], ["no"]]) == {frozenset([0, 1]), frozenset([2])}


def test_a_large_family_costs_no_more_than_its_rows() -> None:
    rng = random.Random(6)
    first = rng.choices(WORDS, k=60)
    family = [
        [*first[:i], f"changed{i}x{copy}", *first[i + 1 :]]
        for copy in range(40)
        for i in range(0, 60, 2)
    ]
    counted, shingles, hashed = Counting(), Shingler(), Texts()
    for words in family:
        counted.add()
        hashed.append(shingles(words))
    connect(hashed, counted)
    assert grouped(counted, len(family)) == {frozenset(range(len(family)))}
    # 1,200 rows have 720,000 pairs; a chain of them needs 1,199.
    assert counted.joins < 1300
    assert counted.asked < 200 * len(family)


class Counting(Groups):
    """Groups that count what is done with them."""

    joins = asked = 0

    def join(self, one: int, other: int) -> None:
        self.joins += 1
        super().join(one, other)

    def root(self, row: int) -> int:
        self.asked += 1
        return super().root(row)
