"""Training and evaluation sets: spine, views and labels joined as they were known, as immutable snapshots."""
