"""The command ``reid convert``; see reid/cli/convert.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("convert")
