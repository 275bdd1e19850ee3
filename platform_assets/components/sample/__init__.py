"""The road that a new team begins with: `roadbed new team` and `dg scaffold defs` copy these files into the team's package."""
