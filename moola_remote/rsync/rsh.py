"""What rsync's ``-e`` starts: it hands its stdin, stdout and stderr to moola-remote, and waits.

Standard library alone and few imports: it starts with every transfer, and `socket` alone would cost
as much as Python does. The other end is tunnel.py.
"""

from __future__ import annotations

import array
import os
import sys
from _socket import AF_UNIX, SCM_RIGHTS, SOL_SOCKET, socket


def main() -> int:
    """Run the command and return its exit code; 255, as ssh does, when the connection is lost."""
    command = " ".join(sys.argv[2:])  # the first word is rsync's host name, always "pod"
    sock = socket(AF_UNIX)
    sock.connect(os.environ["MOOLA_RSH"])
    standard = array.array("i", [0, 1, 2])
    sock.sendmsg([os.fsencode(command) + b"\0"], [(SOL_SOCKET, SCM_RIGHTS, standard)])
    # Now these are the bridge's alone, so that their ends are seen.
    os.close(0)
    os.close(1)
    answer = sock.recv(8)
    return int(answer or b"255")


if __name__ == "__main__":
    sys.exit(main())
