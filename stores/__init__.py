"""Persistence: samples, vectors, ledger, lock."""
