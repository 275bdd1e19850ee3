"""What may be removed: of all that is stored, what nothing reachable needs."""
