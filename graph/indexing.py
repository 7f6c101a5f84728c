"""Keep `index.db` along with the run: readers search and draw from it, nothing is decided by it.

Where it can't be written, that is said and the run goes on; readers make one of their own.
"""

from collections.abc import Callable
from functools import partial

from ..core.errors import MiddoError
from ..core.progress import Note
from ..signals.projection import fit_projection
from ..stores.index import INDEX_DB
from ..stores.indexing import IndexWriter, index_writer
from .deps import Deps


def index_version(deps: Deps, number: int) -> None:
    """Add the texts of a round's published data set."""
    _try(deps, lambda index: index.add_version(number, deps.version(number)))


def index_diagnosis(deps: Deps, number: int, source: int) -> None:
    """Add the signals of a round and the places of its samples on the map."""
    fit = partial(fit_projection, seed=deps.config.seed)
    folder = deps.round_folder(number)

    def add(index: IndexWriter) -> None:
        index.add_version(source, deps.version(source))  # of a run that began without an index
        index.add_diagnosis(number, source, folder, fit)

    _try(deps, add)


def _try(deps: Deps, action: Callable[[IndexWriter], None]) -> None:
    try:
        with index_writer(deps.folder / INDEX_DB) as index:
            action(index)
    except (OSError, MiddoError, ValueError) as error:
        deps.report(
            Note(
                f"no index of the samples is kept ({error}); the run goes on, and `middo view` and"
                " `middo explain` make one of their own"
            )
        )
