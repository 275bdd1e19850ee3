"""Handles to the world, one file each: an interface, the embedded implementation, the production one."""
