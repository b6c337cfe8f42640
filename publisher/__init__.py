"""Outbox rows become confirmed messages: the relay and its thread."""
