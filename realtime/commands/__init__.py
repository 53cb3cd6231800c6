"""The commands, one a module; each has `add_arguments(parser)` and `run(args) -> exit code`."""
