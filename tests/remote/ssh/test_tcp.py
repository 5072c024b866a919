"""The TCP connection to a host: from where, by which of its addresses; on real servers."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moola_remote.errors import UnreachableError
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.interfaces import address_of
from moola_remote.ssh.tcp import FAMILIES
from tests.remote.ssh.conftest import Through, greet, lines_of, refusal
from tests.support.servers import running_openssh

pytestmark = pytest.mark.process


def test_a_bind_address_is_where_we_come_from(through: Through, tmp_path: Path) -> None:
    endpoint = through("Host box\n  BindAddress 127.0.0.5\n  {pod}")
    transport = connect(endpoint, known_hosts=tmp_path / "pins")
    try:
        assert transport.run(["printenv", "SSH_CLIENT"]).stdout.startswith(b"127.0.0.5 ")
    finally:
        transport.close()


def test_a_bind_address_that_is_not_here_is_named(through: Through, tmp_path: Path) -> None:
    endpoint = through("Host box\n  BindAddress 192.0.2.1\n  {pod}")
    with pytest.raises(UnreachableError, match=r"BindAddress 192\.0\.2\.1; correct it"):
        connect(endpoint, known_hosts=tmp_path / "pins")


def test_a_bind_interface_is_where_we_come_from(through: Through, tmp_path: Path) -> None:
    for _, name in reversed(socket.if_nameindex()):
        with contextlib.suppress(UnreachableError):
            address = address_of(name)[0]
            break
    else:
        pytest.skip("no interface with an IPv4 address here")
    endpoint = through(f"Host box\n  BindInterface {name}\n  {{pod}}")
    transport = connect(endpoint, known_hosts=tmp_path / "pins")
    try:
        assert transport.run(["printenv", "SSH_CLIENT"]).stdout.startswith(f"{address} ".encode())
    finally:
        transport.close()


def test_a_bind_interface_that_is_not_here_is_named(through: Through, tmp_path: Path) -> None:
    endpoint = through("Host box\n  BindInterface nowhere0\n  {pod}")
    with pytest.raises(UnreachableError, match="BindInterface nowhere0: no IPv4 address"):
        connect(endpoint, known_hosts=tmp_path / "pins")


@pytest.fixture
def six(openssh_server: Endpoint, tmp_path: Path) -> Iterator[Endpoint]:
    """A server on ::1 alone."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with running_openssh(tmp_path / "six", address="::1") as endpoint:
        yield endpoint


def test_an_ipv6_address(six: Endpoint, through: Through, tmp_path: Path) -> None:
    config = f"Host box\n  {lines_of(six)}  AddressFamily inet6\n"
    endpoint = dataclasses.replace(through(config), known_key=six.known_key)
    assert endpoint.host == "::1"
    greet(endpoint, tmp_path)


@pytest.mark.parametrize("line", ["BindInterface lo", "BindAddress ::1"])
def test_an_ipv6_address_is_reached_from_where_the_configuration_says(
    six: Endpoint, through: Through, tmp_path: Path, line: str
) -> None:
    config = f"Host box\n  {lines_of(six)}  {line}\n"
    endpoint = dataclasses.replace(through(config), known_key=six.known_key)
    transport = connect(endpoint, known_hosts=tmp_path / "pins")
    try:
        assert transport.run(["printenv", "SSH_CLIENT"]).stdout.startswith(b"::1 ")
    finally:
        transport.close()


@pytest.mark.parametrize("option", ["BindInterface=lo", "BindAddress=::1"])
def test_the_options_of_a_pods_file_say_so_too(
    six: Endpoint, through: Through, tmp_path: Path, option: str
) -> None:
    endpoint = through(f"Host box\n  {lines_of(six)}", ssh_options=[option])
    greet(dataclasses.replace(endpoint, known_key=six.known_key), tmp_path)
    assert endpoint.host_config
    assert option.partition("=")[2] in (
        endpoint.host_config.bind_interface,
        endpoint.host_config.bind_address,
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("BindInterface nowhere0", "BindInterface nowhere0: no IPv6 address of it"),
        ("BindAddress 127.0.0.5", "BindAddress 127.0.0.5: no IPv6 address, which the host has"),
        ("BindAddress fd00:dead::1", "no address of this machine: BindAddress fd00:dead::1"),
    ],
)
def test_what_an_ipv6_address_can_not_be_reached_from_is_named(
    six: Endpoint, through: Through, tmp_path: Path, line: str, said: str
) -> None:
    config = f"Host box\n  {lines_of(six)}  {line}\n"
    endpoint = dataclasses.replace(through(config), known_key=six.known_key)
    assert said in str(refusal(endpoint, tmp_path))


def test_a_family_that_the_host_has_not_is_named(
    six: Endpoint, through: Through, tmp_path: Path
) -> None:
    error = refusal(through(f"Host box\n  {lines_of(six)}  AddressFamily inet\n"), tmp_path)
    assert "no such host name with AddressFamily inet;" in str(error)


@pytest.mark.parametrize("line", ["", "AddressFamily inet6", "BindInterface lo", "BindAddress ::1"])
def test_each_address_of_a_name_is_tried(
    six: Endpoint, through: Through, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    look_up = socket.getaddrinfo

    def of_two_families(host: Any, port: Any, family: int = 0, *more: int) -> list[Any]:
        hosts = ("127.0.0.1", "::1") if host == "pod.example" else (host,)
        if ":" in host and family == socket.AF_INET:
            raise socket.gaierror(socket.EAI_FAMILY)
        kept = [one for one in hosts if family in (0, FAMILIES["inet6" if ":" in one else "inet"])]
        return [found for one in kept for found in look_up(one, port, family, *more)]

    monkeypatch.setattr(socket, "getaddrinfo", of_two_families)
    config = f"Host box\n  {lines_of(six)}  {line}\n".replace(
        "HostName ::1", "HostName pod.example"
    )
    endpoint = dataclasses.replace(through(config), known_key=six.known_key)
    greet(endpoint, tmp_path)
    endpoint = through(config.replace(f"Port {six.port}", "Port 1"))
    assert "connection refused" in str(refusal(endpoint, tmp_path))
