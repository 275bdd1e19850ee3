"""Promotion: gates, policy, and the authority that alone decides what may be released.

The modules here import no Dagster and no team code, so that the authority's process can run them by itself.
"""
