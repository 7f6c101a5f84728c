"""How near two samples are: the cosine of their prompts' embeddings, as density has it."""

from collections.abc import Sequence

import numpy as np

from ..signals.density import centre_and_normalise
from ..stores.tables import take_embeddings
from .record import Record

DECIMALS = 4


def similarities(
    record: Record, number: int, sample_id: str, others: Sequence[str]
) -> dict[str, float]:
    """Return the cosine similarity of a sample to others, where both have an embedding."""
    path = record.round_folder(number) / "embeddings.parquet"
    centre = record.index.centre(number)
    if not others or centre is None or not path.is_file():
        return {}
    vectors = take_embeddings(path, [sample_id, *others])
    if sample_id not in vectors:
        return {}
    there = [name for name in others if name in vectors]
    if not there:
        return {}
    matrix = np.stack([vectors[name] for name in (sample_id, *there)])
    unit = centre_and_normalise(matrix, centre)
    cosines = unit[1:] @ unit[0]
    return {name: round(float(value), DECIMALS) for name, value in zip(there, cosines, strict=True)}
