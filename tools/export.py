"""The command ``reid export``; see reid/cli/export.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("export")
