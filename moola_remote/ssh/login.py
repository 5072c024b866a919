"""Log in with the keys of a `KeyRing`, and say in one line why a server refuses."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from moola_remote.errors import MoolaError, UnreachableError
from moola_remote.files.disk import is_full
from moola_remote.ssh.endpoint import place
from moola_remote.ssh.keys import cure_for, faults
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    import paramiko

    from moola_remote.ssh.endpoint import Endpoint
    from moola_remote.ssh.keys import KeyRing
    from moola_remote.ssh.socket import ReadAheadSocket
# What sshd sends before its banner, and why: docs/decisions.md.
PENALTIES = (b"Not allowed at this time", b"Exceeded MaxStartups")


class TooManyKeysError(Exception):
    """The server has ended the connection before every key was offered."""


class PenaltyError(Exception):
    """The server refuses this address for a while."""


class NoCommonAlgorithmError(UnreachableError):
    """The server has none of paramiko's algorithms; OpenSSH's client may have one."""


class KeyLogin:
    """What paramiko calls an authentication strategy."""

    def __init__(self, endpoint: Endpoint, ring: KeyRing) -> None:
        self._endpoint = endpoint
        self._ring = ring

    def authenticate(self, transport: paramiko.Transport) -> list[str]:
        """Offer one key after the other.

        Raises:
            TooManyKeysError: the server has ended the connection meanwhile.
            UnreachableError: no key is accepted.
        """
        import paramiko

        more: list[str] = []
        for key in self._ring.candidates():
            try:
                more = transport.auth_publickey(self._endpoint.user, key)
            except paramiko.BadAuthenticationType as err:
                raise self._other_methods(err.allowed_types) from err
            except (paramiko.SSHException, EOFError, OSError) as err:
                self._ring.note(key, err)
                if not transport.is_active():
                    raise TooManyKeysError from err
                if "timeout" in str(err).lower():
                    where = place(self._endpoint)
                    raise UnreachableError(f"{where}: no answer to our key in time") from err
                continue
            if not more:
                return []
            if "publickey" not in more:
                raise self._other_methods(more)
        if more:  # one was right, and another is wanted beside it
            raise self._other_methods(["a second key"])
        if self._needs_no_key(transport):
            return []
        raise refused(self._endpoint, self._ring)

    def _needs_no_key(self, transport: paramiko.Transport) -> bool:
        """Return whether the server knows the user by other means, as of a private network.

        Raises:
            UnreachableError: it takes no key at all.
        """
        import paramiko

        try:
            transport.auth_none(self._endpoint.user)
        except paramiko.BadAuthenticationType as err:
            if "publickey" not in err.allowed_types:
                raise self._other_methods(err.allowed_types) from err
            return False
        except (paramiko.SSHException, EOFError, OSError):
            return False
        return True

    def _other_methods(self, methods: list[str]) -> UnreachableError:
        wanted = safe(", ".join(methods), 100)
        return UnreachableError(
            f"{place(self._endpoint)}: the server wants {wanted}, expected a key to be enough",
            "let it accept publickey alone for this user (AuthenticationMethods of sshd_config)",
        )


def refused(endpoint: Endpoint, ring: KeyRing) -> UnreachableError:
    """Return the error for a server that accepts none of the keys."""
    where = place(endpoint)
    why, cure = cure_for(ring)
    if why:
        return UnreachableError(f"{where}: {why}", cure)
    wrong = faults(ring)
    if not ring.offered:
        if wrong:
            return UnreachableError(f"{where}: no key to offer, {wrong[0][0]}", wrong[0][1])
        return UnreachableError(
            f"{where}: no key to offer",
            "set identity_file in the pod's file, or IdentityFile in ~/.ssh/config, or start "
            "ssh-agent",
        )
    count = len(ring.offered)
    at_hand = f"each of the {count} keys at hand" if count > 1 else "the one key at hand"
    offered = endpoint.identity_file or at_hand
    if wrong:
        return UnreachableError(
            f"{where}: the pod refuses user {endpoint.user} with {offered}; {wrong[0][0]}",
            wrong[0][1],
        )
    return UnreachableError(
        f"{where}: the pod refuses user {endpoint.user} with {offered}",
        "add the public key to ~/.ssh/authorized_keys there, or correct user and identity_file",
    )


def too_many(endpoint: Endpoint, ring: KeyRing) -> UnreachableError:
    """Return the error for a server that allows fewer keys than there are."""
    return UnreachableError(
        f"{place(endpoint)}: the server closed the connection after too many keys, "
        f"{len(ring.offered)} were offered and none was the right one",
        "set identity_file in the pod's file, or IdentityFile and `IdentitiesOnly yes` in "
        "~/.ssh/config",
    )


@contextlib.contextmanager
def one_line_errors(endpoint: Endpoint, sock: ReadAheadSocket) -> Iterator[None]:
    """Turn what paramiko raises while it connects into an error of ours.

    Raises:
        PenaltyError: the server refuses this address for a while.
    """
    import paramiko

    from moola_remote.ssh.route import CommandSocket

    where = place(endpoint)
    try:
        yield
    except MoolaError:
        raise
    except (paramiko.SSHException, OSError, EOFError) as err:
        if is_full(err):  # of this machine: the pin can't be written
            raise
        if any(sock.greeting.startswith(words) for words in PENALTIES):
            raise PenaltyError from err
        by_command = sock.failure() if isinstance(sock, CommandSocket) else None
        if by_command is not None:
            raise by_command from err
        raise _failure(where, err) from err


def _failure(where: str, err: Exception) -> UnreachableError:
    import paramiko
    from paramiko.ssh_exception import IncompatiblePeer

    if not isinstance(err, paramiko.SSHException):
        said = safe(str(err)) or "closed by the pod"
        return UnreachableError(f"{where}: connection lost while connecting, {said}")
    if isinstance(err, IncompatiblePeer):
        return NoCommonAlgorithmError(
            f"{where}: the server has no cipher, MAC, key exchange or host key type in common with "
            f"us, {safe(str(err))}",
            "let its sshd_config allow aes256-gcm@openssh.com, curve25519-sha256 and ssh-ed25519",
        )
    if "banner" in str(err) or "protocol version" in str(err):
        return UnreachableError(
            f"{where}: something listens there, but no SSH server answers",
            "check host and port; if the pod has just been started, try again",
        )
    return UnreachableError(f"{where}: SSH failed, {safe(str(err))}")
