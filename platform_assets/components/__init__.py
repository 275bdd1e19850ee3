"""The same declarations as YAML, for `dg`."""
