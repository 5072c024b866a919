"""The guards that every test relies on do guard."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

import pytest

from moola_remote.config.paths import LaptopPaths
from tests.support.collecting import has_no_unit
from tests.support.lanes import HANGS_S, slowdown


def test_no_test_sees_the_users_home_or_state(home: Path) -> None:
    users = Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert Path.home() == home != users
    assert users not in LaptopPaths.of_user().state.parents


def test_no_test_waits_for_less_than_what_hangs() -> None:
    """A limit of its own is what fails on a busy machine, and says nothing there."""
    waits = re.compile(r"(?:communicate|\bwait|join|wait_until)\([^()]*timeout(?:_s)?=([\d.]+)[,)]")
    brief = [
        f"{path.name}: {found[0]}"
        for path in Path(__file__).parent.rglob("*.py")
        for found in waits.finditer(path.read_text(encoding="utf-8"))
        if float(found[1]) < HANGS_S
    ]
    assert brief == []


@pytest.mark.parametrize(
    ("marks", "has_none"),
    [
        ("pytestmark = pytest.mark.process", True),
        ("pytestmark = [pytest.mark.e2e, pytest.mark.train]", True),
        (
            "pytestmark = [\n    pytest.mark.skipif(not X, reason='y'),\n    pytest.mark.scale,\n]",
            True,
        ),
        ("pytestmark = pytest.mark.fuzz", False),
        ("@pytest.mark.process\ndef test_one() -> None: ...", False),
        (
            "pytestmark = [pytest.mark.fuzz]\n\n@pytest.mark.parametrize('x', [pytest.mark.train])",
            False,
        ),
    ],
)
def test_a_file_is_left_out_where_all_of_it_is_of_another_lane(
    tmp_path: Path, marks: str, has_none: bool
) -> None:
    path = tmp_path / "test_x.py"
    path.write_text(f"import pytest\n\n{marks}\n")
    assert has_no_unit(path) is has_none


def test_a_promise_of_seconds_is_one_of_a_free_machine() -> None:
    assert 1 <= slowdown() < HANGS_S
