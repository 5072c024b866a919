#!/usr/bin/env bash
# asyncssh 2.24.1, ServerAliveInterval of a config file
# Guess: `ServerAliveInterval 1m` is 60 seconds: sshd_config(5), TIME FORMATS; `ssh -G` says 60.
# Seen: ConfigParseError for the host, so that no connection is tried. Output: `Invalid ServerAliveInterval
# integer value: 1m`.
# Hurts: a file that ssh takes is refused for each host that the line is for.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check asyncssh==2.24.1
cat >"$T/try.py" <<'PYTHON'
import asyncssh

with open("config", "w") as file:
    file.write("Host box\n  ServerAliveInterval 1m\n")
error = ""
try:
    asyncssh.SSHClientConnectionOptions(config=["config"], host="box", known_hosts=None)
except asyncssh.ConfigParseError as err:
    error = str(err)
print(error)
raise SystemExit("Invalid ServerAliveInterval integer value: 1m" not in error)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
