"""Figures against peers and floors; run by `make bench NAME=<name>`."""
