#!/usr/bin/env bash
# paramiko 5.1.0, SSHConfig
# Guess: `Match host=box` is read as `Match host box`, as OpenSSH does (words may be parted by `=`), and as
# paramiko does for every other keyword (`Port=2222`).
# Seen: ConfigParseError, for every host of the file. Output: `Missing parameter to Match 'host=box' keyword`.
# Hurts: a file that ssh takes is refused whole, whatever host is asked for.
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
error = ""
try:
    config.parse(io.StringIO("Host other\n  Port=2222\nMatch host=box\n  User me\n"))
except paramiko.ConfigParseError as err:
    error = str(err)
print(error)
raise SystemExit("Missing parameter to Match" not in error)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
