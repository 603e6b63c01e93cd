"""The command ``reid embed``; see reid/cli/embed.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("embed")
