"""``python -m moola_remote`` is ``moola-remote``."""

from moola_remote.cli import main

if __name__ == "__main__":
    main()
