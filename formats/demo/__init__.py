"""The demo data set that ships with Middo."""
