"""A study: variants of a config, each trained, tested and attacked with several seeds."""
