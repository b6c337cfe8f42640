"""The subcommands of `durian`: each module adds its arguments and runs."""
