"""Endpoints as assets: the desired state is materialized, the observed state is checked."""
