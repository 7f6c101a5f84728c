"""Torch: tokens, model sources, fine-tuning, scoring, evaluation."""
