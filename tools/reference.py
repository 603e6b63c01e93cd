"""The command ``reid reference``; see reid/cli/reference.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("reference")
