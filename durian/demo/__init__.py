"""A small site to look at: people, orders, and receivers that fail now and then."""
