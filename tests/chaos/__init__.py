"""Faults under load: kill anything, and account for every event afterwards. `make chaos`."""
