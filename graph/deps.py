"""An open run: its folder, configuration, stores and models, handed to the nodes.

Nothing is opened at import. Heavy parts (trainee, embedder, chat models) are loaded on first use.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..agents.measuring import Measuring
from ..core.config import RunConfig
from ..core.errors import Interrupted, UsageError
from ..core.ids import short_hash
from ..core.progress import Note, Report, silent
from ..core.trace import Trace
from ..providers.embedders import Embedder, load_embedder
from ..providers.prices import Prices
from ..stores.database import Database, open_database, read_database
from ..stores.facts import Facts
from ..stores.ledger import Ledger
from ..stores.reviews import Reviews
from ..stores.samples import Version
from ..stores.scores import Scores
from ..stores.shared import SharedScores, shared_scores_file
from ..training.device import Dtype, pick_device, pick_dtype
from ..training.scorer import Scorer
from ..training.sources import ModelSource, resolve_model
from ..training.weights import is_adapter, weights_digest
from .chats import Chats
from .spending import Spending
from .teachers import Teachers, Trainee, providers_of
from .tracing import Taker, open_takers, told

if TYPE_CHECKING:
    from ..telemetry.export import Exporter


def never() -> bool:
    """Say that nobody asked the run to stop."""
    return False


@dataclass
class Deps:
    """What the nodes of one run work with."""

    folder: Path
    config: RunConfig
    database: Database
    report: Report = silent
    should_stop: Callable[[], bool] = never
    given: tuple[Path, ...] = ()
    """Run folders whose models, and what those measured, may be taken over where a training is the
    same."""
    started: float = field(default_factory=time.monotonic)

    @cached_property
    def facts(self) -> Facts:
        """The run's facts."""
        return Facts(self.database)

    @cached_property
    def ledger(self) -> Ledger:
        """The run's ledger."""
        return Ledger(self.database)

    @cached_property
    def reviews(self) -> Reviews:
        """What people said of proposals."""
        return Reviews(self.database)

    @cached_property
    def scores(self) -> Scores:
        """Measurements under way."""
        return Scores(self.database)

    @cached_property
    def shared(self) -> SharedScores:
        """Base-model losses of earlier runs."""
        return SharedScores(shared_scores_file(), lambda text: self.report(Note(text)))

    @cached_property
    def chats(self) -> Chats:
        """What the agents ask."""
        return Chats(self.config, self.ledger, self.spending, self.teachers, self.trace)

    @cached_property
    def takers(self) -> tuple[Taker, ...]:
        """Who is told what the run does."""
        kept = open_takers(self.folder, self.config.traces, lambda text: self.report(Note(text)))
        return kept if self.spans is None else (*kept, self.spans)

    @cached_property
    def trace(self) -> Trace:
        """Tells all takers an event."""
        return told(self.takers)

    @cached_property
    def spending(self) -> Spending:
        """What the run may still spend."""
        budget = self.config.budget
        return Spending(
            budget, self.ledger, Prices.load(budget.prices), seconds_used=self.seconds_used
        )

    @cached_property
    def spans(self) -> "Exporter | None":
        """The sender of OpenTelemetry spans; None where no endpoint is configured."""
        traces = self.config.traces
        if traces.otlp is None:
            return None
        from ..telemetry.endpoint import read_headers
        from ..telemetry.export import open_exporter

        return open_exporter(
            traces.otlp,
            self.folder.resolve().name,
            identity=str(self.facts.get("started", "")),
            headers=read_headers(traces.otlp_headers_env),
            providers=providers_of(self.config),
            note=lambda text: self.report(Note(text)),
        )

    @cached_property
    def teachers(self) -> Teachers:
        """The agents' models."""
        return Teachers(self.config, self.facts, self.trainee, self.database.check, self.heed)

    @cached_property
    def given_scores(self) -> tuple[Scores, ...]:
        """What the given runs have measured.

        Raises:
            MiddoError: the ledger of one can't be read.
        """
        ledgers = (folder / "ledger.db" for folder in self.given)
        return tuple(Scores(read_database(ledger)) for ledger in ledgers if ledger.exists())

    @cached_property
    def source(self) -> ModelSource:
        """The trainee's base model as a folder of safetensors."""
        return resolve_model(self.config.model.base)

    @cached_property
    def embedder(self) -> Embedder:
        """The sentence embedder of the checks."""
        return load_embedder(self.config.checks.embedder)

    @cached_property
    def device(self) -> str:
        """The device, chosen once per run so that a resumed run computes the same.

        Raises:
            UsageError: the run was begun on a GPU, and this machine has none.
        """
        here = pick_device()
        chosen = str(self.facts.put_once("device", here))
        if chosen.startswith("cuda") and here == "cpu":
            raise UsageError(
                f"{self.folder}: was begun on a GPU, and PyTorch sees none here; go on with it"
                " where there is one"
            )
        return chosen

    @cached_property
    def dtype(self) -> Dtype:
        """The precision of all passes, chosen once per run: precisions are never mixed."""
        chosen = pick_dtype(self.config.model.dtype, self.device)
        return cast(Dtype, self.facts.put_once("dtype", chosen))

    def heed(self) -> None:
        """Raise `Interrupted` once somebody asked the run to stop."""
        if self.should_stop():
            raise Interrupted("stopped before the next call to a model")

    def seconds_used(self) -> float:
        """Wall-clock seconds of this run, earlier sessions included."""
        earlier: float = self.facts.get("seconds", 0.0)
        return earlier + time.monotonic() - self.started

    def keep_seconds(self) -> None:
        """Write the time used so far, so that a later session goes on counting."""
        self.facts.put("seconds", self.seconds_used())
        self.started = time.monotonic()

    def round_folder(self, round: int) -> Path:
        """Return the folder of a round."""
        return self.folder / "rounds" / str(round)

    def version(self, round: int) -> Version:
        """Return the data set that a round trains on."""
        return Version(self.round_folder(round) / "dataset")

    def holdout(self) -> Version:
        """Return the rows that are never trained on or rewritten."""
        return Version(self.folder / "holdout")

    @contextmanager
    def measuring(self, round: int | None) -> Iterator[Measuring]:
        """Open a scorer of a round's model, or of the untuned base (None), and close it after."""
        if round is None:
            opened = self.measuring_of(None)
        else:
            opened = self.measuring_of(self.model_of(round), self.weights_of(round))
        with opened as measuring:
            yield measuring

    @contextmanager
    def measuring_of(self, tuned: Path | None, weights: str | None = None) -> Iterator[Measuring]:
        """Open a scorer of the base model, or of a model folder made from it.

        Args:
            tuned: a LoRA adapter, or all weights; None for the base.
            weights: hash of the tuned weights; computed where it is not given.
        """
        scorer = self.load_scorer(tuned)
        try:
            yield self.measuring_with(scorer, tuned, weights)
        finally:
            scorer.close()

    @contextmanager
    def comparing(self, round: int) -> Iterator["BaseThenTuned"]:
        """Open the base model, to be followed by a round's; close what is open after."""
        with self.comparing_of(self.model_of(round), self.weights_of(round)) as models:
            yield models

    @contextmanager
    def comparing_of(self, tuned: Path, weights: str | None = None) -> Iterator["BaseThenTuned"]:
        """Open the base model, to be followed by one made from it; arguments as `measuring_of`."""
        models = BaseThenTuned(self, tuned, weights)
        try:
            yield models
        finally:
            models.close()

    def load_scorer(self, tuned: Path | None) -> Scorer:
        """Load the base model, or a model made from it; the caller closes it."""
        adapter = tuned if tuned is not None and is_adapter(tuned) else None
        model = self.config.model
        return Scorer(
            tuned if tuned is not None and adapter is None else self.source.folder,
            adapter=adapter,
            dtype=self.dtype,
            device=self.device,
            template=model.template,
            max_length=model.max_length,
        )

    def measuring_with(
        self, scorer: Scorer, tuned: Path | None, weights: str | None = None
    ) -> Measuring:
        """Return the memory around an open scorer; other arguments as `measuring_of`."""
        if tuned is None:
            weights = self.source.digest
        elif weights is None:
            weights = weights_digest(tuned)
        model = self.config.model
        parts = [self.source.digest, weights, self.dtype, self.device]
        return Measuring(
            scorer,
            short_hash([*parts, model.template, model.max_length]),
            scores=self.scores,
            facts=self.facts,
            should_stop=self.should_stop,
            shared=self.shared if tuned is None else None,
            given=self.given_scores,
        )

    def trainee(self, round: int) -> Trainee:
        """Return the model of a round's agents: that of the round, or the best after a rollback.

        The diagnosis of the round says which it is.
        """
        diagnosis = self.facts.get(f"round.{round}.diagnosis", {})
        source = diagnosis.get("source_round", round)
        tuned = self.model_of(source)
        adapter = tuned if is_adapter(tuned) else None
        return Trainee(
            folder=tuned if adapter is None else self.source.folder,
            adapter=adapter,
            weights=self.weights_of(source),
            dtype=self.dtype,
            device=self.device,
            template=self.config.model.template,
        )

    def model_of(self, round: int) -> Path:
        """Return the folder of a round's adapter or weights."""
        return self.round_folder(round) / "model"

    def weights_of(self, round: int | None) -> str:
        """Return the hash of a round's trained weights."""
        return str(self.facts.get(f"round.{round}.training")["weights"])

    async def hang_up(self) -> None:
        """Close the connections to servers, while the event loop that used them still runs."""
        if "chats" in self.__dict__:
            await self.chats.hang_up()

    def close(self) -> None:
        """Release models, then files; takers end when nobody is left who could tell them more."""
        with ExitStack() as last_first:
            last_first.callback(self.database.close)
            if "takers" in self.__dict__:
                for taker in self.takers:
                    last_first.callback(taker.close)
            for scores in self.__dict__.get("given_scores", ()):
                last_first.callback(scores.close)
            for name in ("shared", "chats"):
                if name in self.__dict__:
                    last_first.callback(getattr(self, name).close)


class BaseThenTuned:
    """Base model and tuned model, one after the other, as one of them is in memory at a time.

    A LoRA adapter is merged into the base model's weights, which are loaded once.
    """

    def __init__(self, deps: Deps, tuned: Path, weights: str | None) -> None:
        """Load the base model; arguments as in `Deps.measuring_of`."""
        self._deps = deps
        self._place = tuned
        self._weights = weights
        self._scorer = deps.load_scorer(None)
        self.base = deps.measuring_with(self._scorer, None)

    @cached_property
    def tuned(self) -> Measuring:
        """The tuned model. From here on `base` can't score any more."""
        if is_adapter(self._place):
            self._scorer = self._scorer.adapted(self._place)
        else:
            self._scorer.close()
            self._scorer = self._deps.load_scorer(self._place)
        return self._deps.measuring_with(self._scorer, self._place, self._weights)

    def close(self) -> None:
        """Free the memory of whichever is open."""
        self._scorer.close()


def open_run(
    folder: Path,
    config: RunConfig,
    *,
    report: Report = silent,
    should_stop: Callable[[], bool] = never,
    given: Sequence[Path] = (),
) -> Deps:
    """Open a run folder for working on it; the caller holds its lock and closes the result."""
    folder.mkdir(parents=True, exist_ok=True)
    database = open_database(folder / "ledger.db")
    return Deps(folder, config, database, report, should_stop, tuple(given))
