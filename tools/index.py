"""The command ``reid index``; see reid/cli/index/."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("index")
