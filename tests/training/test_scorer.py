from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from middo.core.errors import ModelError
from middo.core.measures import RATINGS, Ask, Item, Measured
from middo.core.records import Message
from middo.training.exchange import unrepeated
from middo.training.mask import attention_masks
from middo.training.questions import ANSWER_QUESTIONS, PROMPT_QUESTIONS
from middo.training.reading import read
from middo.training.scorer import Scorer
from middo.training.sources import load_causal_lm, load_tokenizer
from middo.training.template import Turn

from ..tiny import tiny_model

ALL: frozenset[Ask] = frozenset({"embedding", "alone", "reverse", "ratings"})
KINDS = ["llama", "gpt2", "granite", "qwen2", "qwen2-window", "mistral-window", "gemma3-window"]
NUMBERS = ("loss", "end", "late", "alone", "prompt", "reverse", "rating_mass")


def item(key: str, prompt: str, answer: str, system: str | None = None) -> Item:
    first = () if system is None else (Message("system", system),)
    return Item(key, (*first, Message("user", prompt), Message("assistant", answer)))


ITEMS = [
    item("a", "What is the sum of 12 and 30?", "It is 42, since 30 more than 12 is 42."),
    item("b", "Name the capital of France.", "Paris", system="Be kind, be short."),
    item("c", "Write a short poem about the sea.", "The sea is blue, it sings the land to sleep."),
    Item(
        "d",
        (
            Message("user", "How many apples?"),
            Message("assistant", "There are 10."),
            Message("user", "And when I eat 3?"),
            Message("assistant", "There are 7 apples left after you eat 3."),
        ),
    ),
]


@pytest.fixture(scope="module", params=KINDS)
def kind_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("kinds") / request.param, request.param)


@pytest.fixture(scope="module")
def scorer(tiny_folder: Path) -> Scorer:
    return Scorer(tiny_folder)


class Reference:
    """Each signal by a pass of its own through the model's ordinary forward."""

    def __init__(self, folder: Path) -> None:
        self.model = load_causal_lm(folder, "float32", "cpu")
        self.tokenizer = load_tokenizer(folder)

    def text(self, turns: list[Turn], generate: bool = False) -> str:
        messages = [{"role": role, "content": content} for role, content in turns]
        return str(
            self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=generate
            )
        )

    def run(self, text: str) -> tuple[list[int], list[tuple[int, int]], Any]:
        coded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        with torch.inference_mode():
            out = self.model(torch.tensor([coded["input_ids"]]), output_hidden_states=True)
        return coded["input_ids"], coded["offset_mapping"], out

    def losses(self, turns: list[Turn]) -> dict[tuple[int, int], float]:
        """Return the losses of the last turn's content by place within it."""
        text = self.text(turns)
        start = text.rindex(turns[-1][1])
        ids, places, out = self.run(text)
        logs = out.logits[0].float().log_softmax(-1)
        return {
            (first - start, last - start): -float(logs[n - 1, ids[n]])
            for n, (first, last) in enumerate(places)
            if start <= first and last <= start + len(turns[-1][1])
        }

    def rating(self, turns: list[Turn], question: str) -> float:
        _, _, out = self.run(self.text([*turns, ("user", question)], generate=True))
        digits = [self.tokenizer.convert_tokens_to_ids(str(n)) for n in range(10)]
        weights = out.logits[0, -1, digits].softmax(-1)
        return float(sum(n * weight for n, weight in enumerate(weights)))

    def embedding(self, turns: list[Turn]) -> Any:
        text = self.text(turns)
        start = text.rindex(turns[-1][1])
        _, places, out = self.run(text)
        inside = [n for n, (first, _) in enumerate(places) if first >= start]
        inside = [n for n in inside if places[n][1] <= start + len(turns[-1][1])]
        return out.hidden_states[-1][0, inside[1:]].mean(0).numpy()


def test_every_signal_equals_a_plain_pass_of_its_own(kind_folder: Path) -> None:
    scorer, plain = Scorer(kind_folder), Reference(kind_folder)
    assert scorer.fused
    for scored, measured in zip(ITEMS, scorer.score(ITEMS, ALL), strict=True):
        turns: list[Turn] = [(message.role, message.content) for message in scored.messages]
        prompt, answer = turns[-2][1], turns[-1][1]
        system = [turn for turn in turns[:1] if turn[0] == "system"]

        losses = list(plain.losses(turns).values())
        half = len(losses) // 2
        assert measured.answer_tokens == len(losses)
        assert measured.loss == pytest.approx(np.mean(losses), abs=1e-4)
        if half:
            late = np.mean(losses[half:]) - np.mean(losses[:half])
            assert measured.late == pytest.approx(late, abs=2e-4)
        alone = plain.losses([*system, ("user", ""), ("assistant", answer)])
        assert measured.alone == pytest.approx(np.mean(list(alone.values())), abs=1e-4)

        before = plain.losses(turns[:-1])
        after = plain.losses([*system, ("user", answer), ("assistant", prompt)])
        assert before.keys() == after.keys()
        trunk = scorer.tokens.encode(scored.messages)
        kept = [trunk.offsets[index] for index in unrepeated(trunk)]
        assert measured.prompt_tokens == len(before)
        assert measured.prompt == pytest.approx(np.mean([before[k] for k in kept]), abs=1e-4)
        assert measured.reverse == pytest.approx(np.mean([after[k] for k in kept]), abs=1e-4)

        asked = [plain.rating(turns[:-1], question) for question in PROMPT_QUESTIONS]
        asked += [plain.rating(turns, question) for question in ANSWER_QUESTIONS]
        assert measured.ratings == pytest.approx(asked, abs=2e-4)
        assert len(asked) == len(RATINGS)
        assert measured.embedding is not None
        np.testing.assert_allclose(measured.embedding, plain.embedding(turns[:-1]), atol=1e-5)


def test_separate_passes_give_the_same_numbers(kind_folder: Path) -> None:
    scorer = Scorer(kind_folder)
    together = scorer.score(ITEMS, ALL)
    scorer.__dict__["fused"] = False
    for one, other in zip(together, scorer.score(ITEMS, ALL), strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("kind", ["qwen2-window", "mistral-window", "gemma3-window"])
def test_the_self_test_finds_a_window_that_the_mask_ignores(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unaware(config: Any, rows: Any, dtype: torch.dtype) -> Any:
        class Windowless:
            sliding_window = None

        return attention_masks(Windowless, rows, dtype)

    scorer = Scorer(tiny_model(tmp_path, kind))
    expected = scorer.score(ITEMS, ALL)
    monkeypatch.setattr("middo.training.network.attention_masks", unaware)
    blind = Scorer(tmp_path)
    assert scorer.fused
    assert not blind.fused
    for one, other in zip(expected, blind.score(ITEMS, ALL), strict=True):
        assert_close(one, other)


def test_a_batch_does_not_change_what_is_in_it(scorer: Scorer) -> None:
    together = scorer.score(ITEMS, ALL)
    for alone, expected in zip(ITEMS, together, strict=True):
        assert_close(scorer.score([alone], ALL)[0], expected)
    assert scorer.score(ITEMS, ALL) == together


def test_what_is_not_asked_for_is_none_and_does_not_change_the_rest(scorer: Scorer) -> None:
    everything = scorer.score(ITEMS, ALL)
    little = scorer.score(ITEMS)
    for full, measured in zip(everything, little, strict=True):
        assert measured.loss == pytest.approx(full.loss, abs=1e-4)
        assert measured.end == pytest.approx(full.end, abs=1e-4)
        for name in ("gain", "recoverability", "ratings", "rating_mass", "embedding"):
            assert getattr(measured, name) is None
        assert full.rating_mass is not None
        assert 0 < full.rating_mass < 1
        assert full.embedding is not None
        assert len(full.embedding) == 48


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
    assert more.prompt is not None
    assert more.prompt > 0


def test_bad_items_are_unscored_beside_good_ones(tiny_folder: Path) -> None:
    scorer = Scorer(tiny_folder, max_length=120)
    items = [item("long", "word " * 200, "yes"), ITEMS[0], item("none", "", "yes")]
    assert sorted(sum(scorer.plan(items, ALL), [])) == [0, 1, 2]
    long, good, none = scorer.score(items, ALL)
    assert long == Measured(unscored="too_long")
    assert none == Measured(unscored="no_prompt")
    assert_close(good, scorer.score([ITEMS[0]], ALL)[0])
    assert scorer.score([items[0]]) == [Measured(unscored="too_long")]


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


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # in peft itself
def test_a_merged_adapter_scores_as_the_adapted_model(tiny_folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    adapted = get_peft_model(
        load_causal_lm(tiny_folder, "float32", "cpu"),
        LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    adapted.save_pretrained(tmp_path)
    scorer = Scorer(tiny_folder, adapter=tmp_path)
    encoded = scorer.tokens.encode(ITEMS[0].messages)
    labels = [
        token if encoded.answer_span[0] <= place < encoded.answer_span[1] else -100
        for place, token in enumerate(encoded.input_ids)
    ]
    with torch.inference_mode():
        expected = adapted(
            input_ids=torch.tensor([encoded.input_ids]), labels=torch.tensor([labels])
        ).loss
    measured = scorer.score(ITEMS[:1], ALL)[0]
    assert scorer.fused
    assert measured.loss == pytest.approx(float(expected), abs=1e-4)
    assert abs(measured.loss - Scorer(tiny_folder).score(ITEMS[:1])[0].loss) > 0.01


def test_a_folder_that_is_no_adapter_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="adapter_model.safetensors"):
        Scorer(tiny_folder, adapter=tmp_path)


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
    plan = scorer.plan(items, ALL, budget_tokens=2 * max(lengths))
    assert sorted(sum(plan, [])) == list(range(len(items)))
    flat = [index for batch in plan for index in batch]
    assert [lengths[i] for i in flat] == sorted(lengths, reverse=True)
    assert [items[i].key for i in flat if items[i].key in "xyz"] == ["x", "y", "z"]
    for batch in plan:
        assert max(lengths[i] for i in batch) * len(batch) <= 2 * max(lengths)
    assert plan == scorer.plan(items, ALL, budget_tokens=2 * max(lengths))
    assert sum(scorer.count_tokens(items)) < sum(lengths)


def test_a_batch_that_does_not_fit_is_split(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = scorer.score(ITEMS, ALL)

    def small(network: Any, exchanges: Any, *rest: Any, **options: Any) -> Any:
        if len(exchanges) > 1 or exchanges[0].answer_tokens == expected[1].answer_tokens:
            raise torch.cuda.OutOfMemoryError("full")
        return read(network, exchanges, *rest, **options)

    monkeypatch.setattr("middo.training.scorer.read", small)
    found = scorer.score(ITEMS, ALL)
    assert found[1] == Measured(unscored="out_of_memory")
    for one, other in zip(found[2:], expected[2:], strict=True):
        assert_close(one, other)


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
    assert half.fused
    for one, other in zip(half.score(ITEMS, ALL), scorer.score(ITEMS, ALL), strict=True):
        assert one.loss == pytest.approx(other.loss, abs=0.2)


def test_a_closed_scorer_holds_no_model(tiny_folder: Path) -> None:
    scorer = Scorer(tiny_folder)
    scorer.close()
    assert scorer._network._model is None


@pytest.mark.slow
def test_the_real_small_model_prefers_true_answers() -> None:
    from middo.training.sources import resolve_model

    scorer = Scorer(resolve_model("smollm2-135m").folder)
    assert scorer.fused
    true, false = scorer.score(
        [
            item("t", "Name the capital of France.", "The capital of France is Paris."),
            item("f", "Name the capital of France.", "Boil the eggs for seven minutes."),
        ],
        ALL,
    )
    assert true.loss < false.loss - 1
    assert true.recoverability is not None
    assert false.recoverability is not None
    assert true.recoverability > false.recoverability
    assert true.ratings is not None
    assert all(0 <= rating <= 10 for rating in true.ratings)


def assert_close(one: Measured, other: Measured) -> None:
    for name in NUMBERS:
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=2e-4), name
    assert one.ratings == pytest.approx(other.ratings, abs=2e-4)
    assert one.embedding == pytest.approx(other.embedding, abs=1e-5)
    assert one.unscored == other.unscored
