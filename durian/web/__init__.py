"""The pages: listeners of a user's own, their filters and their deliveries."""
