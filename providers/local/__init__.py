"""Engines that run on this machine; the only provider code that loads torch."""
