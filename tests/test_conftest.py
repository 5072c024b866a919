"""The guards that every test relies on do guard."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from moola_remote.config.paths import LaptopPaths


def test_no_test_sees_the_users_home_or_state(home: Path) -> None:
    users = Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert Path.home() == home != users
    assert users not in LaptopPaths.of_user().state.parents
