#!/usr/bin/env bash
# sshfs 2026.8.0 (with fsspec 2026.9.0), get(recursive=True) (server: asyncssh 2.24.1; OpenSSH's 9.2 gives the same)
# Guess: get(folder, recursive=True) copies the folder, as put(recursive=True) does the other way, and as fsspec has it.
# Seen: it asks for the folder itself as if it were a file and ends with an error. put() of the same tree works. Output:
# `put: [a, sub/b], get: SFTPFailure`.
# Hurts: who fetches a run's outputs with it: what it sent there it cannot bring back.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'kill $(cat "$T/pid" 2>/dev/null) 2>/dev/null || true; rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check sshfs==2026.8.0 asyncssh==2.24.1 fsspec==2026.9.0
cat >"$T/server.py" <<'PYTHON'
import asyncio
import os
from pathlib import Path

import asyncssh


class Open(asyncssh.SSHServer):
    def begin_auth(self, username):
        return False


async def main():
    keys = [asyncssh.generate_private_key("ssh-ed25519")]
    server = await asyncssh.listen("127.0.0.1", 0, server_factory=Open, server_host_keys=keys, sftp_factory=True)
    Path("pid").write_text(str(os.getpid()))
    Path("port.new").write_text(str(server.get_port()))
    Path("port.new").rename("port")
    await asyncio.Event().wait()


asyncio.run(main())
PYTHON
cat >"$T/try.py" <<'PYTHON'
from pathlib import Path

import asyncssh
from sshfs import SSHFileSystem

Path("out/sub").mkdir(parents=True)
Path("out/a").write_text("1")
Path("out/sub/b").write_text("2")
here = Path.cwd()
remote = SSHFileSystem("127.0.0.1", port=int(Path("port").read_text()), username="bob", known_hosts=None)
remote.put(str(here / "out"), str(here / "there"), recursive=True)
sent = sorted(str(path.relative_to(here / "there")) for path in (here / "there").rglob("*") if path.is_file())
try:
    remote.get(str(here / "there"), str(here / "back"), recursive=True)
    seen = "no error"
except asyncssh.SFTPFailure as error:
    seen = type(error).__name__
print(f"put: [{', '.join(sent)}], get: {seen}")
raise SystemExit(sent != ["a", "sub/b"] or seen != "SFTPFailure")
PYTHON
cd "$T"
"$T/venv/bin/python" server.py &
for _ in $(seq 100); do [ -e port ] && break; sleep 0.1; done
"$T/venv/bin/python" try.py
