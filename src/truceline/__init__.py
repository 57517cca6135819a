"""Truceline keeps the picture of a ceasefire line."""

__version__ = "0.1.0"
