"""The `roadbed` command: one small module a verb, and what they share."""
