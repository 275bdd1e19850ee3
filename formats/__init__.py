"""The bottom room: documents, digests and errors that every other room speaks. No Dagster, no I/O beyond files."""
