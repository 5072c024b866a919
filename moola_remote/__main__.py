"""``python -m moola_remote`` is ``moola-remote``."""

from __future__ import annotations

from moola_remote.cli import main

if __name__ == "__main__":
    main()
