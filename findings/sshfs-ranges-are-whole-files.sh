#!/usr/bin/env bash
# sshfs 2026.8.0 (with fsspec 2026.9.0), cat_file and cat_ranges (server: asyncssh 2.24.1; OpenSSH's 9.2 gives the same)
# Guess: cat_file(path, start=1, end=3) and cat_ranges([path], [1], [3]) give bytes 1 and 2, as fsspec describes them.
# Seen: they give the whole file, each range anew; head() and tail() are right. Output:
# `cat_file b'abcdef', cat_ranges [b'abcdef', b'abcdef'], tail b'ef'`.
# Hurts: who reads parts of a log or a checkpoint on a machine by offset: other bytes than asked for, without a word,
# and the whole file over the wire for each part.
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

from sshfs import SSHFileSystem

Path("log").write_text("abcdef")
path = str(Path("log").resolve())
remote = SSHFileSystem("127.0.0.1", port=int(Path("port").read_text()), username="bob", known_hosts=None)
part = remote.cat_file(path, start=1, end=3)
parts = remote.cat_ranges([path, path], [0, 3], [3, 6])
tail = remote.tail(path, 2)
print(f"cat_file {part}, cat_ranges {parts}, tail {tail}")
raise SystemExit((part, parts, tail) != (b"abcdef", [b"abcdef", b"abcdef"], b"ef"))
PYTHON
cd "$T"
"$T/venv/bin/python" server.py &
for _ in $(seq 100); do [ -e port ] && break; sleep 0.1; done
"$T/venv/bin/python" try.py
