"""The tables of durian."""
