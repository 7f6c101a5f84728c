"""Numeric signals: pure functions on arrays."""
