"""Importers, exporters, quarantine and configuration files."""
