"""Decisions on records: trainer, diagnostician, rewriter, critic, proof."""
