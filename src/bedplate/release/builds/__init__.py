"""Builds: content-addressed, independent of stages, what every stage runs from."""
