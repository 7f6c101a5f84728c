"""Jinja2 templates of the pages; addresses come from `links`, texts pass `visible`."""
