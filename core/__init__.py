"""Types and settings that every other part relies on."""
