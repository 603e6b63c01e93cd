"""The command ``reid report``; see reid/cli/report.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("report")
