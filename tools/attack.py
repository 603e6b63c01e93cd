"""The command ``reid attack``; see reid/cli/attack.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("attack")
