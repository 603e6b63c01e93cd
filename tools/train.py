"""The command ``reid train``; see reid/cli/train.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("train")
