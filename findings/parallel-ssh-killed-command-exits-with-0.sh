#!/usr/bin/env bash
# parallel-ssh 2.16.0.post1 (ssh2-python 1.2.0.post1), HostOutput.exit_code (server: asyncssh 2.24.1; OpenSSH's sshd
# 9.2 gives the same)
# Guess: the exit code of a command that a signal killed isn't 0: None, negative, 137 as in a shell, or 255 as in ssh.
# Seen: it is 0, like that of a command that succeeded; the signal that the server reported is in no attribute. Output:
# `exit 3: 3, killed by KILL: 0`.
# Hurts: who runs jobs on many machines: one that the kernel kills for its memory, or that crashes, counts as done.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'kill $(cat "$T/pid" 2>/dev/null) 2>/dev/null || true; rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check \
  parallel-ssh==2.16.0.post1 ssh2-python==1.2.0.post1 asyncssh==2.24.1
cat >"$T/server.py" <<'PYTHON'
import asyncio
import os
from pathlib import Path

import asyncssh


class Open(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def public_key_auth_supported(self):
        return True

    def validate_public_key(self, username, key):
        return True


def handle(process):
    if "killed" in process.command:
        process.exit_with_signal("KILL")
    else:
        process.exit(3)


async def main():
    keys = [asyncssh.generate_private_key("ssh-ed25519")]
    server = await asyncssh.listen("127.0.0.1", 0, server_factory=Open, server_host_keys=keys, process_factory=handle)
    Path("pid").write_text(str(os.getpid()))
    Path("port.new").write_text(str(server.get_port()))
    Path("port.new").rename("port")
    await asyncio.Event().wait()


asyncio.run(main())
PYTHON
cat >"$T/try.py" <<'PYTHON'
from pathlib import Path

import asyncssh
from pssh.clients import SSHClient

key = asyncssh.generate_private_key("ssh-ed25519")
key.write_private_key("id")
Path("id").chmod(0o600)
client = SSHClient("127.0.0.1", user="bob", port=int(Path("port").read_text()), pkey="id")


def exit_code(command):
    output = client.run_command(command)
    client.wait_finished(output)
    return output.exit_code


failed, killed = exit_code("fails"), exit_code("killed")
print(f"exit 3: {failed}, killed by KILL: {killed}")
raise SystemExit((failed, killed) != (3, 0))
PYTHON
cd "$T"
"$T/venv/bin/python" server.py &
for _ in $(seq 100); do [ -e port ] && break; sleep 0.1; done
"$T/venv/bin/python" try.py
