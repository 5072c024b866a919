"""Files that look like secrets, by name or content."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moola_remote.files.hashing import AnyStatus


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, patterns)))


SECRETS = _any_of(
    *(".env", ".env.*", ".envrc", "*.env"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.ppk", "*.jks", "*.keystore"),
    *("*.kdbx", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc", "_netrc", ".pypirc"),
    *(".npmrc", ".git-credentials", ".htpasswd", ".pgpass", "kubeconfig", "credentials"),
    *(".dockercfg", ".s3cfg", ".boto", "application_default_credentials.json"),
    *("credentials.json", "credentials.toml", "credentials.y*ml", "credentials.ini"),
    *("secrets.json", "secrets.toml", "secrets.y*ml", "secrets.ini", "service-account*.json"),
)
NO_SECRETS = _any_of(".env.example", ".env.sample", ".env.template", ".env.dist", "*.pub")
SECRET_FOLDERS = {".ssh", ".aws", ".gnupg", ".kube", ".docker", ".runpod"}
PRIVATE_KEY = re.compile(rb"\s*-----BEGIN [A-Z ]*PRIVATE KEY")


def is_secret(path: str) -> bool:
    """Return whether the name alone says that it should not leave this machine."""
    *folders, name = path.lower().split("/")
    if not SECRET_FOLDERS.isdisjoint(folders):
        return True
    return bool(SECRETS.match(name)) and not NO_SECRETS.match(name)


def holds_private_key(path: Path | str, status: AnyStatus) -> bool:
    """Return whether a small file begins as a private key does."""
    if status.st_size > 1 << 16:
        return False
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - one of very many
            return PRIVATE_KEY.match(file.read(64)) is not None
    except OSError:  # reported when it is hashed
        return False


def is_in_environment(folder: Path, path: str, known: dict[str, bool]) -> bool:
    """Return whether a path lies in a virtual environment; `known` caches folders."""
    parent = path.rpartition("/")[0]
    if not parent:
        return False
    if parent not in known:
        is_one = (folder / parent / "pyvenv.cfg").is_file()
        known[parent] = is_one or is_in_environment(folder, parent, known)
    return known[parent]
