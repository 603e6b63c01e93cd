"""The command ``reid ablate``; see reid/cli/ablate.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("ablate")
