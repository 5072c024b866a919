#!/usr/bin/env bash
# paramiko 5.1.0, SSHConfig
# Guess: a `Match` whose criterion the parser does not know (`localnetwork`, `tagged`, `sessiontype`) fits no
# host, or is an error, as in OpenSSH releases before the one that brought the criterion.
# Seen: the block applies to every host. Output: `user: by-network`.
# Hurts: who has `Match localnetwork ...` in ~/.ssh/config (OpenSSH 9.4 and newer) for a network that he
# is not in: every host gets that block's user, proxy and keys.
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
config.parse(io.StringIO("Match localnetwork 192.0.2.0/24\n  User by-network\nHost *\n  User me\n"))
user = config.lookup("gpu.example.org")["user"]
print("user:", user)
raise SystemExit(user != "by-network")
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
