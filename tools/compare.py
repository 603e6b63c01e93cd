"""The command ``reid compare``; see reid/cli/compare.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("compare")
