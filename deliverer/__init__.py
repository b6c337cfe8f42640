"""Deliveries become POSTs: HTTP, limits, log and handler."""
