"""What the scorer does with batches, with what it was not asked, and with what it can't measure."""

from pathlib import Path
from typing import Any

import pytest
import torch

from middo.core.errors import ModelError
from middo.core.measures import Ask, Item, Measured
from middo.core.records import Message
from middo.training.reading import MASKS
from middo.training.scorer import Scorer
from middo.training.sources import load_causal_lm, load_tokenizer

from ..tiny import tiny_model
from .conversations import ALL, ITEMS, LOSS, RATING, assert_close, item
from .plain import PlainPasses


@pytest.fixture(scope="module")
def scorer(tiny_folder: Path) -> Scorer:
    return Scorer(tiny_folder)


def test_a_batch_does_not_change_what_is_in_it(scorer: Scorer) -> None:
    together = scorer.score(ITEMS, ALL)
    for alone, expected in zip(ITEMS, together, strict=True):
        assert_close(scorer.score([alone], ALL)[0], expected)
    assert scorer.score(ITEMS, ALL) == together


def test_what_was_planned_is_measured_the_same(scorer: Scorer) -> None:
    expected = scorer.score(ITEMS, ALL)
    (batch,) = scorer.plan(ITEMS, ALL, budget_tokens=10**6)
    assert sorted(batch) == [0, 1, 2, 3, 4]
    assert scorer.score(ITEMS, ALL) == expected
    assert scorer.score(ITEMS)[0].alone is None


def test_what_is_not_asked_for_is_none_and_does_not_change_the_rest(scorer: Scorer) -> None:
    everything = scorer.score(ITEMS, ALL)
    for full, measured in zip(everything, scorer.score(ITEMS), strict=True):
        assert measured.loss == pytest.approx(full.loss, abs=1e-4)
        assert measured.end == pytest.approx(full.end, abs=1e-4)
        assert measured.copied == full.copied
        for name in ("gain", "opening", "peak", "recoverability", "ratings", "embedding"):
            assert getattr(measured, name) is None
        assert full.rating_mass is not None
        assert 0 < full.rating_mass < 1
        assert full.embedding is not None
        assert len(full.embedding) == 48


def test_the_answer_can_be_rated_alone(scorer: Scorer) -> None:
    six = scorer.score(ITEMS, frozenset({"ratings"}))
    three = scorer.score(ITEMS, frozenset({"answer_ratings"}))
    for all_of_them, measured in zip(six, three, strict=True):
        assert all_of_them.ratings is not None
        assert measured.ratings is not None
        assert measured.ratings[:3] == (None, None, None)
        assert measured.ratings[3:] == pytest.approx(all_of_them.ratings[3:], abs=RATING)
        assert measured.rating_mass == pytest.approx(all_of_them.rating_mass, abs=LOSS)
    tokens = scorer.count_tokens(ITEMS, frozenset({"answer_ratings"}))
    assert sum(tokens) < sum(scorer.count_tokens(ITEMS, frozenset({"ratings"})))


def test_the_loss_is_over_the_labels_that_training_supervises(
    scorer: Scorer, tiny_folder: Path
) -> None:
    measured = scorer.score(ITEMS[:1])[0]
    encoded = scorer.tokens.encode(ITEMS[0].messages)
    model = load_causal_lm(tiny_folder, "float32", "cpu")
    with torch.inference_mode():
        trained = model(
            torch.tensor([encoded.input_ids]), labels=torch.tensor([encoded.labels])
        ).loss
    assert measured.end is not None
    total = measured.loss * measured.answer_tokens + measured.end
    assert float(trained) == pytest.approx(total / encoded.supervised, abs=1e-4)


def test_a_prompt_that_the_answer_echoes_gains_nothing(scorer: Scorer) -> None:
    prompt = "Write a short poem about the sea."
    echo, more = scorer.score(
        [item("e", prompt, prompt), item("m", prompt + " Add the land.", prompt)], ALL
    )
    assert (echo.prompt, echo.reverse, echo.recoverability) == (0.0, 0.0, 0.0)
    assert echo.copied == 1
    assert more.prompt is not None
    assert more.prompt > 0
    assert more.copied is not None
    assert 0 < more.copied < 1


def test_a_prompt_is_read_in_the_pass_that_reads_the_answer(
    scorer: Scorer, tiny_folder: Path
) -> None:
    plain = PlainPasses(tiny_folder)
    asked, bare = frozenset[Ask]({"prompt"}), frozenset[Ask]()
    for scored, measured in zip(ITEMS, scorer.score(ITEMS, asked), strict=True):
        assert measured.prompt == pytest.approx(plain.prompt(scored), abs=LOSS)
        assert measured.reverse is None
    assert scorer.count_tokens(ITEMS, asked) == scorer.count_tokens(ITEMS, bare)


def test_bad_items_are_unscored_beside_good_ones(tiny_folder: Path) -> None:
    scorer = Scorer(tiny_folder, max_length=120)
    items = [item("long", "word " * 200, "yes"), ITEMS[0], item("none", "", "yes")]
    assert sorted(sum(scorer.plan(items, ALL), [])) == [0, 1, 2]
    long, good, none = scorer.score(items, ALL)
    assert long == Measured(unscored="too_long")
    assert none == Measured(unscored="no_prompt")
    assert_close(good, scorer.score([ITEMS[0]], ALL)[0])
    assert scorer.score([items[0]]) == [Measured(unscored="too_long")]
    assert scorer.count_tokens(items, ALL)[0] == 0


def test_an_answer_without_a_question_has_no_prompt(scorer: Scorer) -> None:
    turns = (Message("system", "Be kind."), Message("assistant", "Hello."))
    assert scorer.score([Item("s", turns)], ALL) == [Measured(unscored="no_prompt")]
    assert scorer.score([]) == []
    assert scorer.plan([]) == []


def test_a_path_beyond_the_models_positions_is_too_long(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path, "gpt2")
    scorer = Scorer(folder, max_length=4096)
    header = len(scorer.tokens.encode(item("x", " a", "It is 42.").messages).input_ids) - 1
    long = item("long", " a" * (2040 - header), "It is 42.")
    assert len(scorer.tokens.encode(long.messages).input_ids) == 2040
    assert scorer.score([long])[0].unscored is None
    assert scorer.score([long], ALL)[0].unscored == "too_long"


def test_numbers_that_are_none_make_one_item_unscored(tiny_folder: Path, tmp_path: Path) -> None:
    model, tokenizer = load_causal_lm(tiny_folder, "float32", "cpu"), load_tokenizer(tiny_folder)
    snowman = tokenizer("☃", add_special_tokens=False)["input_ids"][0]
    with torch.no_grad():
        model.get_input_embeddings().weight[snowman] = float("inf")
        model.config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(
            load_causal_lm(tiny_folder, "float32", "cpu").lm_head.weight.clone()
        )
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    scorer = Scorer(tmp_path)
    bad, good = scorer.score([item("s", "What is ☃ here?", "Snow."), ITEMS[0]], ALL)
    assert bad == Measured(unscored="not_finite")
    assert good.unscored is None
    assert good.loss > 0


def test_a_model_that_changes_its_logits_in_an_unknown_way_is_refused(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifting(folder: Path, dtype: str, device: str) -> Any:
        model = load_causal_lm(folder, dtype, device)

        def shift(module: Any, arguments: Any, output: Any) -> Any:
            output.logits = output.logits + torch.arange(output.logits.shape[-1])
            return output

        model.register_forward_hook(shift)
        return model

    monkeypatch.setattr("middo.training.network.load_causal_lm", shifting)
    with pytest.raises(ModelError, match="'llama' models change their logits"):
        Scorer(tiny_folder)


def test_plans_are_longest_first_within_the_budget_and_by_key(scorer: Scorer) -> None:
    twins = [item(key, "What is the sum of 12 and 30?", "It is 42.") for key in "zyx"]
    items = [*twins, *ITEMS]
    lengths = scorer.count_tokens(items, ALL)
    budget = 2 * max(lengths)
    plan = scorer.plan(items, ALL, budget_tokens=budget)
    assert sorted(sum(plan, [])) == list(range(len(items)))
    flat = [index for batch in plan for index in batch]
    assert [lengths[i] for i in flat] == sorted(lengths, reverse=True)
    assert [items[i].key for i in flat if items[i].key in "xyz"] == ["x", "y", "z"]
    assert all(sum(lengths[i] for i in batch) <= budget for batch in plan)
    assert plan == scorer.plan(items, ALL, budget_tokens=budget)
    assert sum(scorer.count_tokens(items)) < sum(lengths)


def test_padding_counts_against_the_budget_where_rows_are_padded(tiny_folder: Path) -> None:
    scorer = Scorer(tiny_folder)
    budget = sum(scorer.count_tokens(ITEMS))
    assert len(scorer.plan(ITEMS, budget_tokens=budget)) == 1
    scorer.way = MASKS
    plan = scorer.plan(ITEMS, budget_tokens=budget)
    lengths = scorer.count_tokens(ITEMS)
    assert len(plan) > 1
    assert all(max(lengths[i] for i in batch) * len(batch) <= budget for batch in plan)


def test_the_work_is_counted_with_its_padding(tiny_folder: Path) -> None:
    scorer = Scorer(tiny_folder)
    tokens = scorer.count_tokens(ITEMS, ALL)
    assert scorer.fused
    assert scorer.work.passes == 0  # the self-test does not count
    scorer.score(ITEMS, ALL)
    assert (scorer.work.passes, scorer.work.tokens) == (1, sum(tokens))
    assert scorer.work.padding == 0
    scorer.way = MASKS
    scorer.score(ITEMS, ALL)
    assert scorer.work.tokens == 2 * sum(tokens)
    assert scorer.work.computed == sum(tokens) + max(tokens) * len(tokens)
    assert scorer.work.padding == pytest.approx(1 - scorer.work.tokens / scorer.work.computed)


def test_a_template_that_refuses_questions_gives_no_ratings(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path)
    template = folder / "chat_template.jinja"
    once = (
        "{% if messages | selectattr('role', 'equalto', 'user') | list | length > 1 %}"
        "{{ raise_exception('one user turn only') }}{% endif %}"
    )
    template.write_text(once + template.read_text(encoding="utf-8"), encoding="utf-8")
    measured = Scorer(folder).score(ITEMS[:1], ALL)[0]
    assert measured.ratings is None
    assert measured.alone is not None


def test_bfloat16_passes_its_own_self_test(tiny_folder: Path, scorer: Scorer) -> None:
    half = Scorer(tiny_folder, dtype="bfloat16")
    assert half.way is scorer.way
    for one, other in zip(half.score(ITEMS, ALL), scorer.score(ITEMS, ALL), strict=True):
        assert one.loss == pytest.approx(other.loss, abs=0.2)


def test_a_closed_scorer_measures_nothing(tiny_folder: Path) -> None:
    scorer = Scorer(tiny_folder)
    scorer.score(ITEMS)
    scorer.close()
    with pytest.raises(ValueError, match="closed"):
        scorer.score(ITEMS)
