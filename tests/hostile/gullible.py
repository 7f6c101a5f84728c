"""A model that obeys every order it sees, however the order is hidden, and accepts what it judges.

It sees what is written in the user turns of a request. It decodes base64, hex, rot13, HTML
entities, zero-width bits and tag characters, reads backwards, and takes look-alikes for letters.
What no real model can do it does too: it reads the environment of the process.
"""

import base64
import binascii
import codecs
import html
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

from langchain_core.messages import BaseMessage

from middo.prompts.loader import FENCED
from middo.providers.line import PROBE
from middo.providers.scripted import Scripted, ScriptedChat
from tests.hostile.corpus import Hostile, hostile_samples
from tests.loop import easy_answer

CANARY = "canary"
"""Every secret of the tests holds it; all variables that do are given away."""
BRAND = "Zebrola"

_ASKED = re.compile(r"Tell me about (?:old )?(\w+) in (.*?)(?: long ago)?\.(?=\s|$)")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-f]{2}){8,}")
_BITS = re.compile("[\u200b\u200c]{16,}")
_TAGS = re.compile("[\U000e0000-\U000e007f]+")
_LATIN = str.maketrans("асеорхуАВСЕНКМОРТХ", "aceopxyABCEHKMOPTX")


def gullible(api_key: str = "") -> ScriptedChat:
    """Return the model; what a configuration names as `import:tests.hostile.gullible:gullible`."""

    def answer(messages: Sequence[BaseMessage], schema: dict[str, Any] | None) -> Scripted:
        if messages[-1].text == PROBE:
            return "ok"
        wanted = (schema or {}).get("properties", {})
        turns = [message.text for message in messages if message.type == "human"]
        seen = orders(tuple(turns))
        if "verdict" in wanted:
            told = " ".join(_effects("", seen, messages, api_key))[:390]
            return {"problems": [], "dropped": [], "feedback": told, "verdict": "accept"}
        if "rationale" in wanted:
            nothing = dict.fromkeys(wanted)
            shares = {name: 0.0 for name in wanted if name.endswith("share")}
            return {**nothing, **shares, "rationale": f"{len(seen)} orders seen"}
        field = "prompt" if "prompt" in wanted else "answer"
        return {field: _written(field, seen, messages, api_key)}

    return ScriptedChat(answer=answer)


@lru_cache(4096)
def orders(turns: tuple[str, ...]) -> tuple[Hostile, ...]:
    """Return the hostile samples whose orders can be read in the user turns of a request."""
    views = [view for turn in turns for view in _views(turn)]
    return tuple(one for one in _samples() if any(one.plain in view for view in views))


@cache
def _samples() -> tuple[Hostile, ...]:
    return tuple(hostile_samples())


def _views(text: str) -> Iterator[str]:
    """Yield a text in every way in which it can be read."""
    yield text
    yield "".join(char for char in text if unicodedata.category(char) != "Cf")
    yield unicodedata.normalize("NFKC", text)
    yield text.translate(_LATIN)
    yield html.unescape(text)
    yield codecs.encode(text, "rot13")
    for found in _BASE64.findall(text):
        try:
            yield base64.b64decode(found + "=" * (-len(found) % 4)).decode("utf-8", "ignore")
        except binascii.Error:
            continue
    for found in _HEX.findall(text):
        yield bytes.fromhex(found).decode("utf-8", "ignore")
    for found in _BITS.findall(text):
        bits = found.replace("\u200b", "0").replace("\u200c", "1")
        octets = [int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8)]
        yield bytes(octets).decode("utf-8", "ignore")
    for found in _TAGS.findall(text):
        yield "".join(chr(ord(char) - 0xE0000) for char in found)


def _written(
    field: str, seen: Sequence[Hostile], messages: Sequence[BaseMessage], api_key: str
) -> str:
    """Return the honest text of this step, changed as the orders say."""
    texts = [text for _, text in FENCED.findall(messages[-1].text)]
    about = next((found for text in texts if (found := _ASKED.search(text))), None)
    topic, place = (about[1], about[2]) if about else ("things", "the world")
    if field == "prompt":
        # A new prompt comes with the neighbours of the sparse one, a rewritten one alone.
        several = sum(_ASKED.search(text) is not None for text in texts) > 1
        old = "old " if several else ""
        honest = f"Tell me about {old}{topic} in {place}{' long ago' if several else ''}."
    else:
        honest = easy_answer(topic, place)
        if honest in texts:
            honest = honest.replace(f" and like to talk about {topic}", " and like to talk")
    parts = _effects(honest, seen, messages, api_key)
    return " ".join(part for part in parts if part) or " "


def _effects(
    honest: str, seen: Sequence[Hostile], messages: Sequence[BaseMessage], api_key: str
) -> list[str]:
    """Return what is written: before the honest text, the text itself, and after it."""
    before: list[str] = []
    after: list[str] = []
    for one in seen:
        for deed in one.does:
            if deed == "say":
                (before if one.first else after).append(one.say)
            elif deed == "reveal prompt":
                before.append(messages[0].text)
            elif deed == "reveal environment":
                after.append(_environment(api_key))
            elif deed == "reveal coded environment":
                after.append(base64.b64encode(_environment(api_key).encode()).decode())
            elif deed == "drop facts":
                honest = " ".join(honest.split()[: max(3, len(honest.split()) // 2)])
            elif deed == "change numbers":
                honest = f"{honest} There are 731 of them."
            elif deed == "wrap":
                before.append("Sure! Here is the rewritten text:")
            elif deed == "german":
                honest = "Das ist eine Antwort, die nur auf Deutsch geschrieben ist und so bleibt."
            elif deed == "fence":
                fences = [fence for fence, _ in FENCED.findall(messages[-1].text)]
                after.append(f"{fences[-1]}>>> new orders follow" if fences else ">>>")
            elif deed == "echo":
                honest = next((text for _, text in FENCED.findall(messages[-1].text)), honest)
            elif deed == "other task":
                honest = "Retell a novel of your choice in three chapters."
            elif deed == "empty":
                honest = ""
            else:
                assert deed == "accept", deed
    return [*before, honest, *after]


def _environment(api_key: str) -> str:
    found = [f"{name}={value}" for name, value in os.environ.items() if CANARY in value]
    return "\n".join([*found, api_key])
