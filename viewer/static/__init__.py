"""Styles, scripts and pictures that pages load; vendored files have their licence beside them."""
