"""What the proofs are put to with real measurements: repairs, cheats, and the rows around them.

Everything is built from the shipped demo set and does not depend on a model, so that recorder and
tests speak of the same conversations. Rows that the demo set holds damaged are left out, since
their true answers are not in it; twelve longer rows are damaged here in the same ways, and the
true answer is the repair.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from middo.core.measures import Item
from middo.core.records import Axis, Message, Proposal, Sample, sample_id
from middo.formats.demo.build import is_prose, repeated, shuffled, truncated
from middo.formats.importing import import_data
from middo.signals.controls import Control, build_controls, choose_calibration_rows, words

SEED = 0
CHARACTERS = 400
DAMAGED_WORDS = 20
DAMAGES = ("swapped", "truncated", "repeated", "shuffled")
DAMAGED_ROWS = 12
CALIBRATION_ROWS = 28
SAFE = "I don't know."
REFUSAL = "I'm sorry, but I can't help you with that request."

SIMPLER = {
    "fd0855da4449c496": (
        "List three creative projects about circuits that we can build at home.",
        "1. A flashlight made from a battery, a switch and a small light bulb.\n"
        "2. A doorbell that rings when you press a button.\n"
        "3. A weather station that measures the temperature in your room.",
    ),
    "e4f6dc69c20dd989": (
        "Plan an agenda for the daily standup meeting, with a time for each topic.",
        "1. What we did yesterday (5 minutes)\n2. What we will do today (5 minutes)\n"
        "3. Problems that we need help with (5 minutes)",
    ),
    "6b8dbdf8834e8c0f": (
        "Find words that fit the pattern H_AR_, where each _ stands for one letter.",
        "The words that fit the pattern are heard, hears, heart and hoard.",
    ),
    "9bcd3cf34605a2cc": (
        "Where does the word oblique come from?",
        "The word oblique comes from the Latin word obliquus, which means slanting. It came into"
        " English through French.",
    ),
    "5c290654289d3b0a": (
        "Give a grammar tip on how to end a German verb.",
        "The ending of a German verb depends on the subject of the sentence. For example, the verb"
        " ends in e after ich, in st after du, and in t after er or sie.",
    ),
    "f841bd2693ba5b75": (
        "Suggest hashtags for an Instagram post about this topic.\n\n"
        "Another episode of women in science is out now",
        "Here are some hashtags for the post: #women #science #womeninscience #podcast #research",
    ),
    "2caaf5cb2bfae924": (
        "Suggest a list of six songs that are good to listen to while I write code on the weekend.",
        "Here are six songs for a weekend of coding:\n- Intro by The xx\n- Candles by Jon Hopkins\n"
        "- Train from Paris by Mindtrap\n- Take Me Back by WYS\n- Riverline by Tor\n"
        "- The Dream by SwuM",
    ),
    "78ca6ee59cb850e9": (
        "Write a short summary for the profile of a person on LinkedIn. Use the first person, and"
        " leave a blank where the name of a school or a company belongs.",
        "I have a degree in [field] from [school]. I now work as a [job title] for [company], where"
        " I am responsible for [task]. In my free time I enjoy [hobby].",
    ),
    "b0bc04bc80140b4e": (
        "What are other ways to say this?\n\nwhat we have expected",
        "Here are some other ways to say it:\n- what we have hoped for\n"
        "- what we have anticipated\n- what we have been waiting for\n- what we have predicted",
    ),
}
"""Easier exchanges in place of rows that are hard for the model, by the row's id."""

RELATED = {
    "f472c26ad345671c": (
        "Assess the sentiment of the given tweet and categorize it as Positive, Negative, or"
        ' Neutral.\n\n"The delivery came three days late, and the box was torn."',
        "Negative. The writer complains that the delivery was late and that the box was damaged.",
    ),
    "cc83b3f9c353e82c": (
        "Prepare an email signature for the given person.\n\na nurse at a children's hospital",
        "[Your name]\nRegistered Nurse\n[Name of the hospital]\n\nPhone: [Your phone number]\n"
        "Email: [Your email address]",
    ),
    "04d4a39f6efac2a6": (
        "Estimate the cost of the supplies for the given project and add up the total.\n\n"
        "Bird house\nRequired items are: wooden board, nails, paint, brush",
        "Wooden board ($12)\nNails ($4)\nPaint ($9)\nBrush ($5)\nTotal cost = $30",
    ),
    "7fefd238607f427a": (
        "Write a kind compliment for a person with the given quality.\n\nPatience",
        "You stay calm when everyone else is in a hurry, and that makes it easy to work with you.",
    ),
    "66ce1d3cda6caf6b": (
        "Summarize the movie in one funny sentence.\n\nTitanic",
        "A very large ship meets a very large piece of ice, and two people who have just met can't"
        " agree on who gets the door.",
    ),
}
"""New samples beside rows in a sparse region, by the row's id."""


@dataclass(frozen=True, slots=True)
class Case:
    """A proposal and what it is: `truth` and `simpler` are honest, all others are cheats."""

    trick: str
    proposal: Proposal
    damage: str = ""


@dataclass(frozen=True, slots=True)
class DataSet:
    """The rows of a round.

    Attributes:
        samples: all rows, the damaged ones among them.
        damaged: (damaged row, the same row undamaged, kind of damage).
        calibration: undamaged rows that quality is calibrated on.
        controls: of the calibration rows.
    """

    samples: list[Sample]
    damaged: list[tuple[Sample, Sample, str]]
    calibration: list[Sample]
    controls: list[Control]


def data_set() -> DataSet:
    """Return the demo rows that are short and undamaged, 12 of them damaged on purpose."""
    clean = [
        sample
        for sample in import_data("demo").samples
        if "damage" not in sample.meta and len(sample.prompt + sample.answer) <= CHARACTERS
    ]
    clean.sort(key=lambda sample: sample.id)
    long = [s for s in clean if words(s.answer) >= DAMAGED_WORDS and is_prose({"output": s.answer})]
    victims = random.Random(SEED).sample(long, DAMAGED_ROWS)
    donors = [sample for sample in long if sample not in victims]
    damaged = []
    for place, sample in enumerate(victims):
        kind = DAMAGES[place % len(DAMAGES)]
        broken = with_answer(sample, _broken(kind, sample, donors))
        damaged.append((broken, sample, kind))
    whole = [sample for sample in clean if sample not in victims]
    chosen = choose_calibration_rows(
        [(s.id, words(s.answer)) for s in whole], [], CALIBRATION_ROWS, SEED
    )
    calibration = [sample for sample in whole if sample.id in chosen]
    controls = build_controls([(s.id, s.prompt, s.answer) for s in calibration], SEED)
    samples = sorted([*whole, *(row for row, _, _ in damaged)], key=lambda sample: sample.id)
    return DataSet(samples, damaged, calibration, controls)


def control_item(data: DataSet, control: Control) -> Item:
    """Return a control as an item, keyed by its messages."""
    row = next(sample for sample in data.calibration if sample.id == control.row_id)
    messages = row.with_exchange(row.prompt, control.answer)
    return Item(sample_id(messages), messages)


def quality_cases(data: DataSet) -> list[Case]:
    """Return true repairs of the damaged rows, and cheats in their place."""
    return [
        Case(trick, _replacing(row, Axis.QUALITY, row.prompt, answer), kind)
        for row, whole, kind in data.damaged
        for trick, answer in {
            "truth": whole.answer,
            **cheats(whole.prompt, whole.answer),
            **shortened(row.answer, "original_"),
        }.items()
    ]


def complexity_cases(data: DataSet) -> list[Case]:
    """Return easier exchanges for hard rows, the true answers of shuffled ones, and cheats."""
    by_id = {sample.id: sample for sample in data.samples}
    cases = [
        Case("truth", _replacing(row, Axis.COMPLEXITY, row.prompt, whole.answer), kind)
        for row, whole, kind in data.damaged
        if kind == "shuffled"
    ]
    for name, (prompt, answer) in SIMPLER.items():
        row = by_id[name]
        cases.append(Case("simpler", _replacing(row, Axis.COMPLEXITY, prompt, answer)))
        for trick, cheat in cheats(row.prompt, row.answer).items():
            cases.append(Case(trick, _replacing(row, Axis.COMPLEXITY, row.prompt, cheat)))
    return cases


def diversity_cases(data: DataSet) -> list[Case]:
    """Return new samples for a sparse region, and copies, strangers and bad answers."""
    by_id = {sample.id: sample for sample in data.samples}
    others = [*RELATED.values()]
    strangers = dict(zip(RELATED, [*others[1:], others[0]], strict=True))
    cases = []
    for name, (prompt, answer) in RELATED.items():
        row = by_id[name]
        offered = {
            "related": (prompt, answer),
            "copied": (row.prompt, row.answer),
            "copied_polite": (f"{row.prompt} Thank you.", row.answer),
            "unrelated": strangers[name],
            **{trick: (prompt, cheat) for trick, cheat in cheats(prompt, answer).items()},
        }
        for trick, (asked, answered) in offered.items():
            messages = (Message("user", asked), Message("assistant", answered))
            cases.append(Case(trick, Proposal(row, Axis.DIVERSITY, 1, messages, adds=True)))
    return cases


def cheats(prompt: str, answer: str) -> dict[str, str]:
    """Return answers that are easy to come by, by the name of the trick."""
    first = _sentences(answer)[0]
    found = {
        "echo": prompt,
        "echo_polite": f"Sure! {prompt}",
        "phrase": repeated(answer),
        "sentence_repeated": " ".join([first] * max(3, round(len(answer) / len(first)))),
        "safe": SAFE,
        "refusal": REFUSAL,
        **shortened(answer),
    }
    return {trick: cheat for trick, cheat in found.items() if cheat != answer}


def shortened(answer: str, name: str = "") -> dict[str, str]:
    """Return the first third of an answer, and its first sentence where it has several."""
    sentences = _sentences(answer)
    found = {f"{name}third": _third(answer)}
    return found if len(sentences) == 1 else {**found, f"{name}sentence": sentences[0]}


def with_answer(sample: Sample, answer: str) -> Sample:
    """Return the row with another answer, as a row of its own."""
    messages = sample.with_exchange(sample.prompt, answer)
    return replace(sample, id=sample_id(messages), messages=messages)


def all_items() -> dict[str, Item]:
    """Return every conversation to measure, by its id."""
    data = data_set()
    cases = [*quality_cases(data), *complexity_cases(data)]
    items = [control_item(data, control) for control in data.controls]
    items += [Item(case.proposal.id, case.proposal.messages) for case in cases]
    return {item.key: item for item in items} | embedded_items()


def embedded_items() -> dict[str, Item]:
    """Return the conversations whose prompt's embedding is wanted, by their ids."""
    data = data_set()
    items = [Item(sample.id, sample.messages) for sample in data.samples]
    items += [Item(case.proposal.id, case.proposal.messages) for case in diversity_cases(data)]
    return {item.key: item for item in items}


def _broken(kind: str, sample: Sample, donors: Sequence[Sample]) -> str:
    if kind == "swapped":
        near = min(
            donors, key=lambda other: (abs(words(other.answer) - words(sample.answer)), other.id)
        )
        return near.answer
    if kind == "truncated":
        return truncated(sample.answer)
    return (
        repeated(sample.answer)
        if kind == "repeated"
        else shuffled(sample.answer, random.Random(sample.id))
    )


def _replacing(row: Sample, axis: Axis, prompt: str, answer: str) -> Proposal:
    return Proposal(row, axis, 1, row.with_exchange(prompt, answer), adds=False)


def _third(answer: str) -> str:
    parts = answer.split()
    return " ".join(parts[: max(4, round(len(parts) / 3))])


def _sentences(answer: str) -> list[str]:
    # A sentence of fewer than three words ("A.") is taken together with the next.
    return re.findall(r"\S+(?:\s+\S+){2}.*?(?:(?<=[.!?])(?=\s|$)|\Z)", answer, re.DOTALL)
