#!/usr/bin/env bash
# asyncssh 2.24.1, config files
# Guess: `User bob # the trainer` gives the user bob, as OpenSSH has it since 8.5.
# Seen: ConfigParseError. Output: `Extra data at end: # the trainer`.
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
    file.write("Host box\n  User bob # the trainer\n")
error = ""
try:
    asyncssh.SSHClientConnectionOptions(config=["config"], host="box", known_hosts=None)
except asyncssh.ConfigParseError as err:
    error = str(err)
print(error)
raise SystemExit("Extra data at end: # the trainer" not in error)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
