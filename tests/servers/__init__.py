"""Private servers for the tests: each on free ports, with its data in a directory of its own."""
