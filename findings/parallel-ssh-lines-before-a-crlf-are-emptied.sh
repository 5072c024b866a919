#!/usr/bin/env bash
# parallel-ssh 2.16.0.post1 (ssh2-python 1.2.0.post1), HostOutput.stdout (server: asyncssh 2.24.1; OpenSSH's sshd 9.2
# gives the same)
# Guess: lines that end with a line feed and lines that end with CR and LF come back as they are, without their ends.
# Seen: where a line with CR LF follows, the lines before it in the same read come back empty, one each. Output:
# `a, b, c<CR>, d -> ['', '', 'c', 'd']; all with LF: ['a', 'b', 'c', 'd']`.
# Hurts: who reads a log, metrics or a table over ssh of which one line was written with CR LF: the lines before it are
# lost, and their number is right, so that nothing is noticed.
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
    process.stdout.write("a\nb\nc\r\nd\n" if "mixed" in process.command else "a\nb\nc\nd\n")
    process.exit(0)


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


def lines(command):
    output = client.run_command(command)
    client.wait_finished(output)
    return list(output.stdout)


mixed, plain = lines("mixed"), lines("plain")
print(f"a, b, c<CR>, d -> {mixed}; all with LF: {plain}")
raise SystemExit(mixed != ["", "", "c", "d"] or plain != ["a", "b", "c", "d"])
PYTHON
cd "$T"
"$T/venv/bin/python" server.py &
for _ in $(seq 100); do [ -e port ] && break; sleep 0.1; done
"$T/venv/bin/python" try.py
