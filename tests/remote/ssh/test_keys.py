"""Keys in files, agents, certificates and devices, against a real sshd."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moola_remote.errors import UnreachableError
from moola_remote.ssh import keys
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.keeping import keeping
from moola_remote.ssh.key_files import needs_no_agent
from tests.remote.ssh.conftest import Through, add_key, keygen
from tests.remote.ssh.hardware import HardwareAgent, hardware_key_file
from tests.support.masters import end_masters, masters
from tests.support.servers import SSHD, running_openssh

pytestmark = pytest.mark.process


@pytest.fixture
def strict(home: Path, tmp_path: Path) -> Iterator[Endpoint]:
    """A server that ends the connection at the third wrong key."""
    if not SSHD.exists():
        pytest.skip("no OpenSSH server here: apt install openssh-server")
    with running_openssh(tmp_path / "strict", settings="MaxAuthTries 3") as endpoint:
        yield endpoint


def _key_of(endpoint: Endpoint) -> Path:
    assert endpoint.identity_file
    return endpoint.identity_file


def _connects(endpoint: Endpoint, folder: Path, **more: object) -> None:
    connect(endpoint, known_hosts=folder / "pins", **more).close()  # type: ignore[arg-type]


def _refusal(endpoint: Endpoint, folder: Path, **more: object) -> UnreachableError:
    with pytest.raises(UnreachableError) as caught:
        _connects(endpoint, folder, **more)
    assert "\n" not in str(caught.value)
    return caught.value


def _fill(agent: Path, folder: Path, count: int) -> None:
    for number in range(count):
        add_key(agent, str(keygen(folder / f"wrong{number}")))


def _by_config(server: Endpoint, through: Through, text: str) -> Endpoint:
    lines = f"Host box\n  HostName 127.0.0.1\n  Port {server.port}\n  {text}\n"
    return dataclasses.replace(through(lines), known_key=server.known_key)


def test_of_many_keys_in_an_agent_the_named_one_goes_first(
    strict: Endpoint, through: Through, agent: Path, tmp_path: Path
) -> None:
    _fill(agent, tmp_path, 7)
    add_key(agent, str(_key_of(strict)))
    named = f"IdentityAgent {agent}\n  IdentityFile {_key_of(strict)}"
    _connects(_by_config(strict, through, named), tmp_path)
    public = f"IdentityAgent {agent}\n  IdentityFile {_key_of(strict)}.pub"
    _connects(_by_config(strict, through, public), tmp_path)
    log = (tmp_path / "strict" / "sshd.log").read_text()
    assert "Too many authentication failures" not in log


def test_the_public_half_beside_a_name_is_enough_for_a_key_of_the_agent(
    strict: Endpoint, through: Through, agent: Path, tmp_path: Path
) -> None:
    _fill(agent, tmp_path, 7)
    add_key(agent, str(_key_of(strict)))
    (tmp_path / "held.pub").write_bytes(_key_of(strict).with_suffix(".pub").read_bytes())
    text = f"IdentityAgent {agent}\n  IdentitiesOnly yes\n  IdentityFile {tmp_path / 'held'}"
    _connects(_by_config(strict, through, text), tmp_path)


def test_a_key_of_a_file_is_reached_behind_an_agent_that_has_too_many(
    strict: Endpoint, agent: Path, dot_ssh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(agent, tmp_path, 3)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    (dot_ssh / "id_ed25519").write_bytes(_key_of(strict).read_bytes())
    (dot_ssh / "id_ed25519").chmod(0o600)
    _connects(dataclasses.replace(strict, identity_file=None), tmp_path)


def test_too_many_keys_are_named_with_the_cure(
    strict: Endpoint, agent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(agent, tmp_path, 7)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    error = _refusal(dataclasses.replace(strict, identity_file=None), tmp_path)
    assert "too many keys, 6 were offered and none was the right one" in str(error)
    assert "IdentitiesOnly yes" in error.cure


def test_identities_only_leaves_the_agents_other_keys_out(
    strict: Endpoint, through: Through, agent: Path, tmp_path: Path
) -> None:
    add_key(agent, str(_key_of(strict)))
    text = f"IdentityAgent {agent}\n  IdentitiesOnly yes\n  IdentityFile {keygen(tmp_path / 'o')}"
    error = _refusal(_by_config(strict, through, text), tmp_path)
    assert "with the one key at hand" in str(error)


@pytest.mark.parametrize(
    "case",
    [
        (lambda _: None, "can't be read, No such file", "correct IdentityFile"),
        (lambda path: path.mkdir(), "is a folder", "name the key"),
        (lambda path: path.write_text("x"), "is no key", "ssh-keygen"),
        (lambda path: path.write_text(""), "is no key", "ssh-keygen"),
        (lambda path: keygen(path).chmod(0o640), "others may read it", "chmod 600"),
        (
            lambda path: keygen(path).with_suffix(".pub").replace(path),
            "is the public half",
            "ssh-add",
        ),
        (lambda path: keygen(path).unlink(), "is not here, but for its public half", "ssh-add"),
    ],
)
def test_a_named_key_that_can_not_be_offered_is_the_reason(
    case: tuple[Callable[[Path], object], str, str],
    strict: Endpoint,
    through: Through,
    dot_ssh: Path,
    tmp_path: Path,
) -> None:
    make, said, cure = case
    named = tmp_path / "named"
    make(named)
    endpoint = _by_config(strict, through, f"IdentityFile {named}")
    error = _refusal(endpoint, tmp_path)
    assert f"no key to offer, {named} {said}" in str(error)
    assert cure in error.cure
    keygen(dot_ssh / "id_rsa")  # another, which is not the right one
    both = f"IdentityFile {named}\n  IdentityFile {dot_ssh / 'id_rsa'}"
    error = _refusal(_by_config(strict, through, both), tmp_path)
    assert f"the one key at hand; {named} {said}" in str(error)


def test_a_key_that_others_may_read_is_left_out_as_ssh_does(
    strict: Endpoint, through: Through, tmp_path: Path
) -> None:
    _key_of(strict).chmod(0o644)
    error = _refusal(_by_config(strict, through, f"IdentityFile {_key_of(strict)}"), tmp_path)
    assert error.cure == f"chmod 600 {_key_of(strict)}"


def test_a_passphrase_is_asked_for_once(strict: Endpoint, tmp_path: Path) -> None:
    locked = _key_of(strict)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "open it", "-f", locked], check=True)
    asked: list[str] = []

    def ask(path: str) -> str:
        asked.append(path)
        return "open it"

    try:
        _connects(strict, tmp_path, ask_passphrase=ask)
        _connects(strict, tmp_path, ask_passphrase=ask)
        assert asked == [str(locked)]
    finally:
        keys._opened.clear()
    error = _refusal(strict, tmp_path, ask_passphrase=lambda _: "wrong")
    assert f"{locked} has a passphrase, and no agent holds it; ssh-add {locked}" in str(error)
    assert "has a passphrase" in str(_refusal(strict, tmp_path))


def test_nobody_is_asked_where_the_agent_holds_the_key(
    strict: Endpoint, agent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = _key_of(strict)
    add_key(agent, str(locked))
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "open it", "-f", locked], check=True)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    _connects(strict, tmp_path, ask_passphrase=lambda _: pytest.fail("was asked"))


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return keygen(tmp_path / "authority")


@pytest.fixture
def by_certificate(home: Path, authority: Path, tmp_path: Path) -> Iterator[Endpoint]:
    """A server that knows no key, but who may certify some."""
    settings = f"TrustedUserCAKeys {authority}.pub\nAuthorizedKeysFile none"
    with running_openssh(tmp_path / "certified", settings=settings) as endpoint:
        yield endpoint


def _certify(authority: Path, key: Path, user: str) -> Path:
    words = ["ssh-keygen", "-q", "-s", str(authority), "-I", "me", "-n", user, "-V", "+1h"]
    subprocess.run([*words, f"{key}.pub"], check=True)
    return key.with_name(f"{key.name}-cert.pub")


def test_a_certificate_beside_the_key(
    by_certificate: Endpoint, authority: Path, tmp_path: Path
) -> None:
    key = _key_of(by_certificate)
    assert "refuses user" in str(_refusal(by_certificate, tmp_path))
    _certify(authority, key, by_certificate.user)
    _connects(by_certificate, tmp_path)


def test_a_certificate_of_the_configuration_with_the_key_in_the_agent(
    by_certificate: Endpoint, authority: Path, through: Through, agent: Path, tmp_path: Path
) -> None:
    key = keygen(tmp_path / "mine")
    add_key(agent, str(key))
    certificate = _certify(authority, key, by_certificate.user)
    elsewhere = certificate.rename(tmp_path / "elsewhere.pub")
    public = key.with_name("mine.pub")
    key.unlink()
    text = f"IdentityAgent {agent}\n  IdentityFile {public}\n  CertificateFile {elsewhere}"
    _connects(_by_config(by_certificate, through, text), tmp_path)


def test_a_certificate_in_the_agent(
    by_certificate: Endpoint,
    authority: Path,
    agent: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = keygen(tmp_path / "mine")
    _certify(authority, key, by_certificate.user)
    add_key(agent, str(key))  # with the certificate beside it
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    _connects(dataclasses.replace(by_certificate, identity_file=None), tmp_path)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_keys_of_other_types(kind: str, home: Path, tmp_path: Path) -> None:
    key = keygen(tmp_path / kind, "-t", kind)
    public = key.with_suffix(".pub").read_text()
    with running_openssh(tmp_path / "sshd", public_key=public) as server:
        _connects(dataclasses.replace(server, identity_file=key), tmp_path)


def test_a_server_may_want_two_keys(through: Through, home: Path, tmp_path: Path) -> None:
    second = keygen(tmp_path / "second")
    public = second.with_suffix(".pub").read_text()
    settings = "AuthenticationMethods publickey,publickey"
    with running_openssh(tmp_path / "sshd", public_key=public, settings=settings) as server:
        own = f"IdentitiesOnly yes\n  IdentityFile {_key_of(server)}"
        _connects(_by_config(server, through, f"{own}\n  IdentityFile {second}"), tmp_path)
        error = _refusal(_by_config(server, through, own), tmp_path)
        assert "the server wants a second key" in str(error)


@pytest.mark.parametrize("has_key", [False, True])
def test_a_server_that_wants_no_key_says_what_it_wants(
    has_key: bool, home: Path, tmp_path: Path
) -> None:
    settings = "PubkeyAuthentication no\nKbdInteractiveAuthentication yes"
    with running_openssh(tmp_path / "sshd", settings=settings) as server:
        key = server.identity_file if has_key else None
        error = _refusal(dataclasses.replace(server, identity_file=key), tmp_path)
    assert "the server wants keyboard-interactive, expected a key to be enough" in str(error)


def test_a_hardware_key_works_through_an_agent_and_is_named_without(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = HardwareAgent(tmp_path / "device")
    with running_openssh(tmp_path / "sshd", public_key=device.public_line) as server:
        file = hardware_key_file(tmp_path / "id_ed25519_sk", device)
        endpoint = dataclasses.replace(server, identity_file=file)
        assert f"{file} is a hardware key, which only an agent can ask; ssh-add {file}" in str(
            _refusal(endpoint, tmp_path)
        )
        with device:
            monkeypatch.setenv("SSH_AUTH_SOCK", str(device.path))
            _connects(endpoint, tmp_path)


def test_an_agent_that_refuses_to_sign_is_the_reason(
    strict: Endpoint, through: Through, agent: Path, tmp_path: Path
) -> None:
    add_key(agent, "-c", str(_key_of(strict)))  # to be confirmed, where nobody can be asked
    text = f"IdentityAgent {agent}\n  IdentityFile {_key_of(strict)}.pub"
    error = _refusal(_by_config(strict, through, text), tmp_path)
    assert "the agent refuses to sign with " in str(error)
    assert "ssh-add the key again without -c" in error.cure


@contextlib.contextmanager
def frozen_agent(folder: Path) -> Iterator[socket.socket]:
    """An agent that lets everybody in and says nothing."""
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(folder / "frozen"))
        frozen.listen()
        yield frozen


def test_an_agent_that_does_not_answer_is_not_waited_for(
    strict: Endpoint,
    through: Through,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(keys, "AGENT_S", 0.2)
    with frozen_agent(tmp_path):
        alone = f"IdentityAgent {tmp_path / 'frozen'}\n  IdentityFile {tmp_path / 'none'}"
        error = _refusal(_by_config(strict, through, alone), tmp_path)
        assert f"the agent at {tmp_path / 'frozen'} does not answer" in str(error)
        beside = f"IdentityAgent {tmp_path / 'frozen'}\n  IdentityFile {_key_of(strict)}"
        _connects(_by_config(strict, through, beside), tmp_path)
        assert f"the agent at {tmp_path / 'frozen'} does not answer" in caplog.text


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("is_named", [True, False])
def test_a_key_that_lies_bare_in_a_file_asks_no_agent(
    strict: Endpoint, through: Through, tmp_path: Path, is_kept: bool, is_named: bool
) -> None:
    _connects(strict, tmp_path)  # so that its pin lets OpenSSH connect
    with frozen_agent(tmp_path) as agent:
        text = f"IdentityAgent {tmp_path / 'frozen'}"
        if not is_named:
            text += f"\n  IdentitiesOnly yes\n  IdentityFile {_key_of(strict)}"
        endpoint = _by_config(strict, through, text)
        if is_named:
            endpoint = dataclasses.replace(endpoint, identity_file=strict.identity_file)
        endpoint = dataclasses.replace(endpoint, name=strict.name)
        keep = keeping(tmp_path, 60) if is_kept else None
        _connects(endpoint, tmp_path, keep=keep)
        assert len(masters(keep.folder) if keep else []) == is_kept
        end_masters(keep)
        agent.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has come
            agent.accept()


@pytest.mark.parametrize(
    ("words", "passphrase", "is_bare"),
    [
        ([], "", True),
        ([], "secret", False),
        (["-t", "rsa", "-m", "PEM"], "", True),
        (["-t", "rsa", "-m", "PEM"], "secret", False),
        (["-t", "rsa", "-m", "PKCS8"], "", True),
        (["-t", "rsa", "-m", "PKCS8"], "secret", False),
    ],
)
def test_a_file_alone_is_enough_where_nobody_is_asked_for_a_passphrase(
    tmp_path: Path, words: list[str], passphrase: str, is_bare: bool
) -> None:
    path = keygen(tmp_path / "key", *words, passphrase=passphrase)
    assert needs_no_agent(path) == is_bare
    assert not needs_no_agent(path.with_suffix(".pub"))
    assert not needs_no_agent(tmp_path / "missing")


def test_no_key_at_all_is_named(strict: Endpoint, tmp_path: Path) -> None:
    error = _refusal(dataclasses.replace(strict, identity_file=None), tmp_path)
    assert "no key to offer" in str(error)
    assert "IdentityFile in ~/.ssh/config" in error.cure
