"""The guards that every test relies on do guard."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from moola_remote.config.paths import LaptopPaths
from tests.conftest import STARTED
from tests.support.collecting import has_no_unit
from tests.support.lanes import HANGS_S, slowdown
from tests.support.oracles import oracle_of


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


@pytest.mark.process
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    "start",
    [
        lambda: subprocess.run(["true"], check=True),
        lambda: subprocess.run("true", shell=True, check=True),
        lambda: os.spawnlp(os.P_WAIT, "true", "true"),
        lambda: os.waitpid(os.posix_spawnp("true", ["true"], os.environ), 0),
    ],
)
def test_each_way_to_start_a_process_is_counted(start: Callable[[], object]) -> None:
    before = STARTED.number
    start()
    assert STARTED.number == before + 1


@pytest.mark.process
def test_what_a_library_asks_of_a_helper_is_not_counted() -> None:
    before = STARTED.number
    subprocess.run(["uname"], check=True, capture_output=True)
    subprocess.Popen(args=["uname", "-m"], stdout=subprocess.DEVNULL).wait(HANGS_S)
    assert STARTED.number == before


def test_files_that_compare_with_a_heavy_library_go_together(tmp_path: Path) -> None:
    path = tmp_path / "test_x.py"
    path.write_text("from sklearn.metrics import f1_score\n")
    assert oracle_of(path) == "sklearn"
    path = tmp_path / "test_y.py"
    path.write_text("import sklearned\n")
    assert oracle_of(path) is None
