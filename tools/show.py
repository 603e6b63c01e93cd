"""The command ``reid show``; see reid/cli/show.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("show")
