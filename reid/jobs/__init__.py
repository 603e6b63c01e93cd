"""The jobs, from a config to files: a module for each subcommand that runs a model."""
