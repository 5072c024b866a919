"""Where RunPod's API key is looked for, and that it shows itself nowhere."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moola_remote.errors import ConfigError
from moola_remote.providers.runpod.credentials import find_api_key
from moola_remote.text.redact import strike

KEY = "rpa_0123456789ABCDEF"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's home without any key, and a keyring of its own; the file for RunPod's settings."""
    keyring = pytest.importorskip("keyring")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RUNPOD_API_KEY", raising=False)
    before = keyring.get_keyring()
    keyring.set_keyring(make_keyring({}))
    (tmp_path / ".runpod").mkdir()
    yield tmp_path / ".runpod" / "config.toml"
    keyring.set_keyring(before)


def make_keyring(entries: dict[tuple[str, str], str]) -> Any:
    """The real package over a dict."""
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            return entries.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            entries[service, username] = password

    return Memory()  # type: ignore[no-untyped-call,unused-ignore]


@pytest.mark.process
def test_the_environment_comes_first_then_the_keyring_then_the_file(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keyring

    machine.write_text('apikey = "rpa_file"\n')
    assert find_api_key().reveal() == "rpa_file"
    keyring.set_password("moola-remote", "RUNPOD_API_KEY", "rpa_ring")
    assert find_api_key().reveal() == "rpa_ring"
    monkeypatch.setenv("RUNPOD_API_KEY", " rpa_env\n")
    assert (find_api_key().reveal(), find_api_key().origin) == ("rpa_env", "$RUNPOD_API_KEY")


@pytest.mark.parametrize(
    "text",
    [f"apikey = '{KEY}'\napiurl = 'x'", f'apiKey = "{KEY}"', f'[default]\napi_key = "{KEY}"'],
)
def test_runpods_file_is_read_in_each_of_its_forms(machine: Path, text: str) -> None:
    machine.write_text(text)
    found = find_api_key()
    assert (found.reveal(), found.origin) == (KEY, str(machine))


@pytest.mark.parametrize("text", ["", "apikey = ''", "apikey = 3", "default = 3", "[other]"])
def test_no_key_is_one_line_that_says_where_to_put_it(machine: Path, text: str) -> None:
    machine.write_text(text)
    with pytest.raises(ConfigError, match=r"no API key.*config\.toml; export RUNPOD_API_KEY"):
        find_api_key()


def test_a_machine_without_a_keyring_is_no_error(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keyring
    from keyring.backends.fail import Keyring

    machine.write_text(f'apikey = "{KEY}"')
    keyring.set_keyring(Keyring())  # type: ignore[no-untyped-call,unused-ignore]
    assert find_api_key().reveal() == KEY
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert find_api_key().reveal() == KEY


@pytest.mark.parametrize("text", [f'apikey = "{KEY}', f"apikey = '{KEY} {KEY}'"])
def test_a_broken_file_is_reported_without_the_key(machine: Path, text: str) -> None:
    machine.write_text(text)
    with pytest.raises(ConfigError) as caught:
        find_api_key()
    reported = "".join(traceback.format_exception(caught.value))
    assert str(machine) in str(caught.value)
    assert KEY not in reported.replace(text, "")


def test_a_key_shows_itself_nowhere(machine: Path) -> None:
    machine.write_text(f'apikey = "{KEY}"')
    found = find_api_key()
    assert KEY not in f"{found} {found!r} {[found]}"
    assert strike(f"Bearer {KEY}") == "Bearer ***"
