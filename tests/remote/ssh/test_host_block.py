"""The block of `ssh-config`, as OpenSSH itself reads it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.host_block import host_block
from moola_remote.ssh.user_config import HostConfig

pytestmark = pytest.mark.process

ENDPOINT = Endpoint(
    name="far",
    host="203.0.113.7",
    port=36470,
    user="root",
    identity_file=Path("/home/a b/key"),
    host_key=None,
    known_key=None,
    root="/workspace/moola",
    python="python3",
    price_per_hour=None,
)
CONFIG = HostConfig(
    host="far",
    arguments=(),
    hostname="10.0.0.7",
    port=2222,
    user="me",
    jumps=("bob@bastion:22", "inner"),
)


def as_read(endpoint: Endpoint, tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "config"
    file.write_text(host_block(endpoint, tmp_path / "known hosts"), encoding="utf-8")
    argv = ["ssh", "-G", "-F", str(file), endpoint.name]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    pairs = [line.split(" ", 1) for line in done.stdout.splitlines() if " " in line]
    keys = [value for key, value in pairs if key == "identityfile"]
    return {**dict(pairs), "identityfile": keys}


def test_the_pod_is_reached_by_its_name_with_its_key_and_its_pin(tmp_path: Path) -> None:
    read = as_read(ENDPOINT, tmp_path)
    assert (read["hostname"], read["port"], read["user"]) == ("203.0.113.7", "36470", "root")
    assert (read["identityfile"], read["identitiesonly"]) == (["/home/a b/key"], "yes")
    assert read["stricthostkeychecking"] in ("true", "yes")
    assert "known hosts" in read["userknownhostsfile"]


@pytest.mark.parametrize("proxy", [None, "nc %h %p"])
def test_the_way_of_the_users_configuration_is_written_out(
    tmp_path: Path, proxy: str | None
) -> None:
    (tmp_path / "id").touch()
    (tmp_path / "agent's.pub").touch()
    keys = tuple(tmp_path / name for name in ("absent", "id", "agent's"))
    config = replace(CONFIG, identity_files=keys)
    if proxy is not None:
        config = replace(config, jumps=(), proxy_command=proxy)
    read = as_read(replace(ENDPOINT, identity_file=None, host_config=config), tmp_path)
    assert (read["hostname"], read["port"], read["user"]) == ("10.0.0.7", "2222", "me")
    assert read["identityfile"] == [str(key) for key in keys[1:]]
    assert (read.get("proxyjump"), read.get("proxycommand")) == (
        (None, proxy) if proxy else ("bob@bastion:22,inner", None)
    )
