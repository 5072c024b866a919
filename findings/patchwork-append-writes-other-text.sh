#!/usr/bin/env bash
# patchwork 1.0.1, files.append (with fabric 2.7.1, invoke 1.7.3, paramiko 3.5.1; server: asyncssh 2.24.1 with bash;
# OpenSSH's 9.2 gives the same)
# Guess: "If text is already found in filename, the append is not run", and single quotes are escaped: a line is in the
# file once, as it was given, however often it is appended.
# Seen: a line with double quotes is never found, and appended each time; one with single quotes is written as other
# text. Output: `plain once; double: 2 times; single: echo \x\\ echo \x\\`.
# Hurts: who sets up machines with it: at each deploy an alias or an export with quotes is one line more in ~/.bashrc,
# or is there as words that the shell does not know.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'kill $(cat "$T/pid" 2>/dev/null) 2>/dev/null || true; rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check \
  patchwork==1.0.1 fabric==2.7.1 invoke==1.7.3 paramiko==3.5.1 asyncssh==2.24.1
cat >"$T/server.py" <<'PYTHON'
import asyncio
import os
from pathlib import Path

import asyncssh


class Open(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return True


async def handle(process):
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", process.command, stdin=asyncio.subprocess.DEVNULL, stdout=-1, stderr=-1
    )
    out, err = await shell.communicate()
    process.stdout.write(out)
    process.stderr.write(err)
    process.exit(shell.returncode)


async def main():
    keys = [asyncssh.generate_private_key("ssh-ed25519")]
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Open, server_host_keys=keys, process_factory=handle, encoding=None
    )
    Path("pid").write_text(str(os.getpid()))
    Path("port.new").write_text(str(server.get_port()))
    Path("port.new").rename("port")
    await asyncio.Event().wait()


asyncio.run(main())
PYTHON
cat >"$T/try.py" <<'PYTHON'
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
from fabric import Connection
from patchwork.files import append

port = int(Path("port").read_text())
options = {"password": "any", "look_for_keys": False, "allow_agent": False}
connection = Connection("127.0.0.1", user="bob", port=port, connect_kwargs=options)


def twice(name, line):
    for _ in range(2):
        append(connection, str(Path(name).resolve()), line)
    return Path(name).read_text().splitlines()


plain, double, single = twice("plain", "set -o vi"), twice("double", 'export A="b c"'), twice("single", "echo 'x'")
assert plain == ["set -o vi"], plain
print(f"plain once; double: {len(double)} times; single:", *single)
raise SystemExit(double != ['export A="b c"'] * 2 or single != ["echo \\x\\\\"] * 2)
PYTHON
cd "$T"
"$T/venv/bin/python" server.py &
for _ in $(seq 100); do [ -e port ] && break; sleep 0.1; done
"$T/venv/bin/python" try.py </dev/null
