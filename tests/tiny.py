"""Tiny random models of several architectures, built from a configuration, with a real tokenizer.

The tokenizer is a byte-level BPE of about 400 tokens with a ChatML template that, as SmolLM2's
does, puts a system turn in front where a conversation has none.
"""

from pathlib import Path
from typing import Any

TEXTS = [
    "Name the capital of France. The capital of France is Paris, a city on the river Seine.",
    "How many apples are left when you eat 3 of 10? There are 7 apples left after you eat 3.",
    "Write a short poem about the sea. The sea is blue, it sings the land to sleep.",
    "What is the sum of 12 and 30? The sum of 12 and 30 is 42. Explain why the sky is blue.",
    "Answer with a number from 0 to 10. How clear, complete and true is the answer above?",
]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe brief.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def tiny_tokenizer(chat_template: str | None = CHATML) -> Any:
    """Train the tokenizer; without a template it is that of a plain language model."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=chat_template,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
    )


def tiny_config(kind: str, vocabulary: int) -> Any:
    """Return the configuration of one architecture; `-window` kinds attend to 16 tokens."""
    from transformers import AutoConfig

    shape: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "initializer_range": 0.2,  # large enough that a wrong mask shows in the logits
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }
    slides = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
    if kind == "granite":  # divides its logits
        return AutoConfig.for_model(kind, **shape, logits_scaling=4.0)
    if kind in ("llama", "qwen2", "falcon"):
        return AutoConfig.for_model(kind, **shape)
    if kind == "qwen3":
        return AutoConfig.for_model(kind, **shape, head_dim=12)
    if kind == "mpt":  # takes a mask without a word and misreads it
        return AutoConfig.for_model(
            kind, vocab_size=vocabulary, d_model=48, n_heads=4, n_layers=2, initializer_range=0.2
        )
    if kind == "qwen2-window":
        return AutoConfig.for_model("qwen2", **shape, **slides, use_sliding_window=True)
    if kind == "mistral-window":
        return AutoConfig.for_model("mistral", **shape, sliding_window=16)
    if kind == "gemma2-window":  # caps its attention scores, for which PyTorch has no function
        return AutoConfig.for_model("gemma2", **shape, **slides, head_dim=12)
    if kind == "gemma3-window":
        return AutoConfig.for_model("gemma3_text", **shape, **slides, head_dim=12)
    if kind == "gpt2":
        return AutoConfig.for_model(
            "gpt2",
            vocab_size=vocabulary,
            n_embd=48,
            n_layer=2,
            n_head=4,
            n_positions=2048,
            initializer_range=0.2,
            bos_token_id=1,
            eos_token_id=2,
        )
    raise ValueError(f"no tiny model of kind {kind!r}")


def tiny_model(folder: Path, kind: str = "llama", seed: int = 0) -> Path:
    """Write a tiny model with its tokenizer into `folder` and return it."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = tiny_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(tiny_config(kind, len(tokenizer)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
