"""OpenSSH's options that leave the judgement of a host key to one file of ours.

The first value of an option counts, so they stand before what the user's configuration has.
"""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

from moola_remote.ssh.hostkeys import alias

ASK_TIMEOUT_S = 10.0
# Whatever else could make OpenSSH accept a key, or note one.
NO_OTHER_JUDGE = (
    *("GlobalKnownHostsFile=/dev/null", "UpdateHostKeys=no", "VerifyHostKeyDNS=no"),
    *("NoHostAuthenticationForLocalhost=no", "CheckHostIP=no"),
)


def pin_options(known_hosts: Path, pod: str) -> list[str]:
    """Return what makes OpenSSH check the pod's pin, and take no key that is not pinned.

    Args:
        known_hosts: the file of pins.
        pod: the name that the pin is kept under, as of `KnownHosts.name_of`.
    """
    options = (
        f'UserKnownHostsFile="{known_hosts}"',
        f"HostKeyAlias={alias(pod)}",
        "StrictHostKeyChecking=yes",
        *NO_OTHER_JUDGE,
    )
    return [word for option in options for word in ("-o", option)]


def pin_options_for_any_configuration(known_hosts: Path, pod: str) -> list[str]:
    """Return `pin_options`, and no ``KnownHostsCommand``, for a configuration not looked at here.

    OpenSSH before 8.5 ends at an option that it does not know, so it is asked first.
    """
    command = ("-o", "KnownHostsCommand=none")
    return [*pin_options(known_hosts, pod), *(command if _openssh_knows(*command) else ())]


@functools.cache
def _openssh_knows(*option: str) -> bool:
    argv = ["ssh", "-F", "/dev/null", "-G", *option, "--", "localhost"]
    try:
        done = subprocess.run(argv, capture_output=True, check=False, timeout=ASK_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
