"""The command ``reid verify``; see reid/cli/verify.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("verify")
