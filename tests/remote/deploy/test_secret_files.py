"""Which names are those of secrets."""

from __future__ import annotations

import pytest

from moola_remote.deploy.secret_files import is_secret


@pytest.mark.parametrize(
    "path",
    [
        *("a/.ENV.local", "x/ID_ED25519", "s.key", ".aws/anything", "sub/.ssh/config", ".netrc"),
        *(".envrc", "conf/prod.env", ".dockercfg", "application_default_credentials.json"),
    ],
)
def test_a_secret_is_known_by_its_name(path: str) -> None:
    assert is_secret(path)


@pytest.mark.parametrize("path", ["keys.py", "id_rsa.pub", "credentials.py", "env", "monkey"])
def test_code_about_secrets_is_no_secret(path: str) -> None:
    assert not is_secret(path)
