"""Erasing a person: everything that is stored about a key of an entity goes, stays gone, and the ledger says so without the key."""
