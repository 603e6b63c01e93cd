"""The command ``reid compare-attacks``; see reid/cli/compare_attacks.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("compare-attacks")
