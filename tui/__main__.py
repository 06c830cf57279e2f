"""``python -m tui`` is ``pgcoach``: for environments whose scripts directory is not on PATH."""

from tui.cli import main

if __name__ == "__main__":
    main()
