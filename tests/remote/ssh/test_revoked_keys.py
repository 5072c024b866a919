"""``RevokedHostKeys`` of the user's configuration: a key that no pin and nobody else outweighs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from moola_remote.ssh.endpoint import Endpoint
from tests.remote.ssh.conftest import Through, keygen
from tests.remote.ssh.test_user_known_hosts import _connects as connects
from tests.remote.ssh.test_user_known_hosts import _refusal as refusal

pytestmark = pytest.mark.process


@pytest.mark.parametrize("is_list", [False, True], ids=["lines", "KRL"])
@pytest.mark.parametrize("is_pinned", [False, True])
def test_a_key_of_revokedhostkeys_is_refused_pinned_or_not(
    is_list: bool, is_pinned: bool, through: Through, openssh_server: Endpoint, tmp_path: Path
) -> None:
    """As lines, with a comment and a key of another kind beside it, and as ssh-keygen packs it."""
    other = keygen(tmp_path / "other").with_suffix(".pub").read_text()
    keys = tmp_path / "keys"
    keys.write_text(f"# stolen\n{other}")
    revoked = tmp_path / "revoked"

    def write() -> None:
        revoked.write_bytes(keys.read_bytes())
        if is_list:
            subprocess.run(["ssh-keygen", "-q", "-k", "-f", str(revoked), str(keys)], check=True)

    write()
    endpoint = through(f"Host box\n  {{pod}}  RevokedHostKeys {revoked}\n")
    if is_pinned:
        connects(endpoint, tmp_path)
    keys.write_text(f"{keys.read_text()}{openssh_server.known_key}\n")
    write()
    assert "is revoked by your known_hosts, or by" in str(refusal(endpoint, tmp_path))


def test_revokedhostkeys_that_are_missing_or_broken_are_named(
    through: Through, tmp_path: Path
) -> None:
    revoked = tmp_path / "revoked"
    endpoint = through(f"Host box\n  {{pod}}  RevokedHostKeys {revoked}\n")
    assert f"{revoked}: RevokedHostKeys, can't be read, No such" in str(refusal(endpoint, tmp_path))
    revoked.write_bytes(b"SSHKRL\n\0broken")
    assert f"{revoked}: RevokedHostKeys, ssh-keygen -Q can't ask it" in str(
        refusal(endpoint, tmp_path)
    )
