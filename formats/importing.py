"""Import a data set: detect its form, turn rows into samples, quarantine the others.

Samples are streamed; what is held of an import are quarantined rows and the ids, which tell exact
copies. Every row is one or the other: samples and quarantined rows add up to `total`, always.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import as_file, files
from itertools import chain

from ..core.errors import DataError
from ..core.records import Quarantined, Sample, sample_id
from ..core.text import printable
from . import demo
from .flat import split_nested
from .forms import FORMS, Form
from .places import Table, tables
from .quarantine import first_reasons
from .reading import Unknown
from .rows import LAYOUT, BadRow, RawRow, quoted, unstorable

DEMO = "demo"
DETECTION_ROWS = 100


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported data set.

    Attributes:
        samples: the usable rows, in the order of the input.
        quarantined: the others, each with place and reason.
        format: the form of the input, which is also the name of its exporter.
        total: rows of the input; an entry of nested `instances` counts as a row.
        skipped: entries of an input folder that are no data files, by name.
    """

    samples: list[Sample]
    quarantined: list[Quarantined]
    format: str
    total: int
    skipped: tuple[str, ...] = ()


class Import:
    """An import under way: iterate over it, once, for the samples in the order of the input.

    What it says of the rest holds when the iteration has ended.

    Attributes:
        quarantined: the unusable rows, each with place and reason.
        format: the form of the input, which is also the name of its exporter.
        skipped: entries of an input folder that are no data files, by name.
    """

    def __init__(self, path: str, forms: list[Form]) -> None:
        """Name what to import; nothing is read yet."""
        self.quarantined: list[Quarantined] = []
        self.format = ""
        self.skipped: tuple[str, ...] = ()
        self._path = path
        self._forms = forms
        self._usable = 0
        self._copies: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """Rows of the input; an entry of nested `instances` counts as a row."""
        return self._usable + len(self.quarantined)

    def __iter__(self) -> Iterator[Sample]:
        """Yield the usable rows.

        Raises:
            DataError: a file that can't be used, two forms in one folder, or no usable row.
        """
        with ExitStack() as stack:
            path = self._path
            if path == DEMO:
                path = str(stack.enter_context(as_file(files(demo) / "demo.jsonl")))
            yield from self._tables(path)
        if not self._usable:
            raise DataError(
                f"{printable(path)}: no usable row: {first_reasons(self.quarantined)}; repair them"
            )

    def _tables(self, path: str) -> Iterator[Sample]:
        found, skipped = tables(path, _unknown_to(self._forms))
        self.skipped = tuple(skipped)
        form: Form | None = None
        for table in found:
            head, rest = _head(table)
            its_form = _form_of(table.name, head, self._forms)
            if form is not None and its_form is not form:
                raise DataError(
                    f"{table.name}: its form is {its_form.name}, that of {found[0].name} "
                    f"{form.name}; import them one at a time"
                )
            form = its_form
            self.format = form.name
            for raw in chain(head, rest):
                for sample in self._samples(raw, form):
                    self._usable += 1
                    yield sample

    def _samples(self, raw: RawRow, form: Form) -> Iterator[Sample]:
        """Yield the samples of a row of the input, one per entry where it is nested."""
        if raw.broken is not None:
            self.quarantined.append(Quarantined(raw.source, raw.broken, raw.row))
            return
        rows = split_nested(raw.row) if form.name == "alpaca" else [raw.row]
        for number, row in enumerate(rows, 1):
            source = raw.source if len(rows) == 1 else f"{raw.source}.{number}"
            try:
                yield self._sample(source, row, form)
            except BadRow as error:
                self.quarantined.append(Quarantined(source, str(error), row))

    def _sample(self, source: str, row: dict[str, object], form: Form) -> Sample:
        if not form.fits(row):
            raise BadRow(f"mixed columns: {form.name} needs {form.needs}; found {_listed(row)}")
        if LAYOUT in row:
            raise BadRow(f"the column {LAYOUT!r} is reserved; rename it")
        if (reason := unstorable(row)) is not None:
            raise BadRow(reason)
        parsed = form.read(row)
        meta = {key: value for key, value in row.items() if key not in parsed.used}
        if parsed.layout:
            meta[LAYOUT] = {"form": form.name, **parsed.layout}
        base = sample_id(parsed.messages)
        self._copies[base] += 1
        copy = self._copies[base]
        name = base if copy == 1 else f"{base}-{copy}"
        return Sample(name, parsed.messages, source, meta=meta)


def stream_data(path: str, format: str = "auto") -> Import:
    """Import a file, a folder, a Hugging Face data set, or the shipped set `demo`, row by row.

    Args:
        path: what to import; a file or folder named `demo` is reached as `./demo`.
        format: a name in `FORMS`, or `auto`: the form that most of the first rows have.

    Raises:
        DataError: there is no such format.
    """
    if format != "auto" and format not in FORMS:
        raise DataError(f"`data.format` {format!r} is not known; use auto, {', '.join(FORMS)}")
    return Import(path, list(FORMS.values()) if format == "auto" else [FORMS[format]])


def import_data(path: str, format: str = "auto") -> Imported:
    """Import a data set into memory, about 2 kB per row; see `stream_data`.

    Raises:
        DataError: a format, file or form that can't be used, or no usable row.
    """
    rows = stream_data(path, format)
    samples = list(rows)
    return Imported(samples, rows.quarantined, rows.format, rows.total, rows.skipped)


def _unknown_to(forms: list[Form]) -> Unknown:
    def unknown(columns: list[str]) -> str | None:
        if any(form.fits(dict.fromkeys(columns)) for form in forms):
            return None
        return _unknown(columns, forms)

    return unknown


def _unknown(columns: Iterable[str], forms: list[Form]) -> str:
    known = "; ".join(f"{form.name} ({form.needs})" for form in forms)
    return (
        f"no column that an importer knows: found {_listed(columns)}; "
        f"rename columns for one of {known}"
    )


def _head(table: Table) -> tuple[list[RawRow], Iterator[RawRow]]:
    """Return the rows to detect the form on, 100 of them sound, and the rest."""
    head: list[RawRow] = []
    sound = 0
    for raw in table.rows:
        head.append(raw)
        sound += raw.broken is None
        if sound == DETECTION_ROWS:
            break
    return head, table.rows


def _form_of(name: str, head: list[RawRow], forms: list[Form]) -> Form:
    sound = [raw.row for raw in head if raw.broken is None]
    if not head:
        raise DataError(f"{name}: no rows; it needs at least one")
    if not sound:
        broken = [Quarantined(raw.source, raw.broken or "", raw.row) for raw in head]
        raise DataError(f"{name}: no usable row: {first_reasons(broken)}; repair them")
    fitting = (next((form.name for form in forms if form.fits(row)), None) for row in sound)
    counts = Counter(form for form in fitting if form is not None)
    if not counts:
        columns = (column for row in sound for column in row)
        raise DataError(f"{name}: {_unknown(columns, forms)}{_rows_inside(sound)}")
    return FORMS[max(counts, key=counts.__getitem__)]


def _rows_inside(found: list[dict[str, object]]) -> str:
    """Say where the rows seem to be, where the only row is an object around them."""
    if len(found) > 1:
        return ""
    for key, value in found[0].items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            return f"; if the list under {quoted(key)} holds the rows, save that list alone"
    values = list(found[0].values())
    if len(values) > 1 and all(isinstance(value, dict) for value in values):
        return "; if its values are the rows, save them as an array"
    return ""


def _listed(columns: Iterable[str], count: int = 10) -> str:
    names = [quoted(name) for name in dict.fromkeys(columns)]
    text = ", ".join(names[:count]) or "none"
    return text if len(names) <= count else f"{text} and {len(names) - count} more"
