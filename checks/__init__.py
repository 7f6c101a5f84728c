"""Preservation checks on proposals: pure functions."""
