"""Arbitrary rows of every form: any Unicode, nested fields, numbers of any size."""

from typing import Any

from hypothesis import strategies as st

PIECES = (
    *("\ud800", "\udc00", "\ud83d\ude00", "\0", "\ufeff", "\u2028", "\u2029", "\x85", "\x1c"),
    *("\u202e", "\u05d0\u05d1", "e\u0301\u0323", "\x1b[31m", "\x7f", "\r\n", "\r", "\n", "\t"),
    *('"', "'", ",", ";", "\\", "{", "[", "]}", "\\u0000", " ", "word", "_middo", "\U0010ffff"),
)
CHARACTERS = st.characters(exclude_categories=())
"""Lone surrogates among them."""
texts = st.lists(st.one_of(CHARACTERS, st.sampled_from(PIECES)), max_size=12).map("".join)
encodable = texts.map(lambda text: text.encode("utf-8", "replace").decode("utf-8"))
spoken = encodable.map(lambda text: f"a{text}b")
"""Texts that are neither blank nor beyond UTF-8."""

numbers = st.one_of(
    st.integers(),
    st.sampled_from([2**53 + 1, 2**63, -(2**64) - 1, 10**400, -(10**4299)]),
    st.floats(),
    st.sampled_from([-0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2]),
)
KNOWN = (
    *("messages", "conversations", "conversation", "instruction", "input", "output", "response"),
    *("history", "instances", "context", "prompt", "completion", "question", "answer", "system"),
    *("role", "from", "value", "content", "name", "tool_calls", "function_call", "_middo", ""),
)
keys = st.one_of(st.sampled_from(KNOWN), texts)


def deep(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return values nested up to twelve hundred levels deep."""

    def nested(value: Any, levels: int) -> Any:
        for level in range(levels):
            value = [value] if level % 2 else {"k": value}
        return value

    levels = st.sampled_from([3, 60, 90, 98, 99, 100, 101, 150, 400, 950, 985, 990, 1_200])
    return st.builds(nested, inner, levels)


values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3), deep(inner)
    ),
    max_leaves=6,
)


fields = st.dictionaries(keys, values, max_size=4)
content = st.one_of(spoken, spoken, spoken, values)


def turn(role: str, text: str, words: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda extra, word, said: extra | {role: word, text: said},
        st.one_of(st.just({}), st.just({}), fields),
        st.sampled_from(words),
        content,
    )


def conversation(
    role: str, text: str, user: str, assistant: str, others: tuple[str, ...]
) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return lists of turns that mostly end with question and answer."""
    before = st.lists(turn(role, text, (user, assistant, *others)), max_size=3)
    exchange = st.tuples(turn(role, text, (user,)), turn(role, text, (assistant,)))
    return st.one_of(st.builds(lambda a, b: [*a, *b], before, exchange), before)


sharegpt = conversation(
    "from",
    "value",
    "human",
    "gpt",
    ("system", "user", "assistant", "function_call", "observation", "tool", "bing", "what"),
)
messages = conversation(
    "role", "content", "user", "assistant", ("system", "tool", "developer", "function", "what")
)
pairs = st.lists(st.one_of(st.tuples(spoken, spoken).map(list), values), max_size=2)
entry = st.builds(
    lambda extra, out: extra | {"output": out},
    st.dictionaries(st.sampled_from(["input", "note", "response", "x"]), content, max_size=2),
    content,
)


def columns(**wanted: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda extra, own: extra | own, fields, st.fixed_dictionaries(wanted))


ROWS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "alpaca": st.one_of(
        columns(instruction=content, input=content, output=content),
        columns(instruction=content, output=content, history=pairs, system=content),
        columns(instruction=content, context=content, response=content),
        columns(instruction=content, instances=st.lists(entry, max_size=3)),
    ),
    "sharegpt": st.one_of(columns(conversations=sharegpt), columns(conversation=sharegpt)),
    "messages": st.one_of(columns(messages=messages), columns(messages=messages, system=content)),
    "prompt": st.one_of(
        columns(prompt=content, completion=content), columns(prompt=content, response=content)
    ),
    "question": st.one_of(
        columns(question=content, answer=content), columns(question=content, response=content)
    ),
}
SOUND: dict[str, dict[str, Any]] = {
    "alpaca": {"instruction": "a sound row", "output": "b"},
    "sharegpt": {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
    "messages": {
        "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    },
    "prompt": {"prompt": "a sound row", "completion": "b"},
    "question": {"question": "a sound row", "answer": "b"},
}
