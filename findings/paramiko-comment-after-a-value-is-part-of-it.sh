#!/usr/bin/env bash
# paramiko 5.1.0, SSHConfig
# Guess: `User bob # the trainer` gives the user bob, as OpenSSH has it since 8.5.
# Seen: the comment is part of the value. Output: `user: 'bob # the trainer'`, and a port that is no number.
# Hurts: who writes comments behind values: the login fails with a name that nobody gave, or int() does.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check paramiko==5.1.0
cat >"$T/try.py" <<'PYTHON'
import io
import paramiko

config = paramiko.SSHConfig()
config.parse(io.StringIO("Host box\n  User bob # the trainer\n  Port 2222 # forwarded\n"))
found = config.lookup("box")
print(f"user: {found['user']!r}, port: {found['port']!r}")
raise SystemExit(found["user"] != "bob # the trainer" or found["port"] != "2222 # forwarded")
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
