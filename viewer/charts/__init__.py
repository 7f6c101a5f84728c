"""Charts as SVG text, made on the server: pure functions from plain data to markup."""
