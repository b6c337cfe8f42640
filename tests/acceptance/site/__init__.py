"""The Django site of the acceptance tests: a shop. Its settings come from the environment."""
