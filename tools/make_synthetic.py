"""The command ``reid make-synthetic``; see reid/cli/make_synthetic.py."""

from reid.cli.main import run_tool

if __name__ == "__main__":
    run_tool("make-synthetic")
