"""``python -m reid COMMAND ...``."""

from reid.cli.main import main

if __name__ == "__main__":
    main()
