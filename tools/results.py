"""The command ``reid results``; see reid/cli/results.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("results")
