"""The command ``reid keys``; see reid/cli/keys.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("keys")
