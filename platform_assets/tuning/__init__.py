"""Searching for better settings of a trainer: what is tried, how well it did, and what it was compared with."""
