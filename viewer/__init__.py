"""Web pages of a run, served on loopback or written as files; they only read."""
