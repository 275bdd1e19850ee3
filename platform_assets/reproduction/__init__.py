"""Reproduction: a model version is trained again from its record alone, elsewhere, and compared."""
