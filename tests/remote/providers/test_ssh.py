"""Any SSH host is used as its file has it, and never started or stopped."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from moola_remote.config.settings import PodConfig
from moola_remote.config.typed import typed
from moola_remote.errors import ConfigError
from moola_remote.providers import provider_for

pytestmark = pytest.mark.process


def test_up_is_the_endpoint_as_configured(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch()
    pod = PodConfig(name="box", provider="ssh", host="example.org", port=2022, identity_file=key)
    endpoint = provider_for(pod).up()
    assert endpoint == provider_for(pod).endpoint()
    assert (endpoint.host, endpoint.port, endpoint.user) == ("example.org", 2022, getpass.getuser())
    assert (endpoint.identity_file, endpoint.root) == (key, "/workspace/moola")


def test_an_identity_file_may_begin_with_the_home_folder(home: Path) -> None:
    (home / "key").touch()
    pod = PodConfig(name="box", provider="ssh", host="h", identity_file=Path("~/key"))
    assert provider_for(pod).endpoint().identity_file == home / "key"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, r"configs/pods/box\.yaml: host: missing"),
        (
            {"host": "h", "identity_file": "/none"},
            r"identity_file: no such file '/none'.*ssh-keygen",
        ),
    ],
)
def test_what_is_missing_is_named_and_status_still_answers(
    keys: dict[str, str], message: str
) -> None:
    provider = provider_for(typed(PodConfig, {"name": "box", "provider": "ssh", **keys}))
    assert provider.status().state == "foreign"
    with pytest.raises(ConfigError, match=message):
        provider.up()


def test_stop_and_down_are_refused() -> None:
    provider = provider_for(PodConfig(name="box", provider="ssh", host="h"))
    with pytest.raises(ConfigError, match="pod box: not ours to stop"):
        provider.stop()
    with pytest.raises(ConfigError, match="pod box: not ours to remove"):
        provider.down(remove_data=True)
