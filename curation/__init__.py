"""Hold-out, merge, gate and stop rules: pure functions."""
