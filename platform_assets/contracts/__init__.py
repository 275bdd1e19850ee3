"""Contracts: one pandera schema a table, and everything that is derived from it."""
