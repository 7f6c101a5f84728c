"""Amounts in words, alike wherever a sentence names them."""


def several(value: int, noun: str) -> str:
    """Return `1 row`, `2 rows`."""
    return f"{value:,} {noun}" + ("" if value == 1 else "s")


def rests_on(rows: int, seeds: int) -> str:
    """Return `24 held-out rows and one seed`: with one, another may turn a difference round."""
    return f"{several(rows, 'held-out row')} and {'one seed' if seeds == 1 else f'{seeds} seeds'}"
