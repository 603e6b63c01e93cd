"""The command line: a module for each subcommand of ``reid``, and for each file in tools/.

A subcommand's module has ``HELP``, one line; ``add_arguments(parser)``; and ``run(args)``. What
takes time to load is imported in ``run``, so that ``--help`` answers at once.
"""
