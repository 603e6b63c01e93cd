"""The command ``reid check-data``; see reid/cli/check_data.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("check-data")
