"""The command ``reid test``; see reid/cli/test.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("test")
