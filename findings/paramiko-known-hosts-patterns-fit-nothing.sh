#!/usr/bin/env bash
# paramiko 5.1.0, HostKeys.lookup
# Guess: a name with `*` or `?` in known_hosts fits the hosts that it fits in OpenSSH (`*.example.org`).
# Seen: it is compared letter by letter, and so is the case of names. Output: `pattern: False, plain: True`.
# Hurts: who lists a farm of machines that share a key by one line: each is unknown, and where unknown hosts
# are refused none is reached.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check paramiko==5.1.0
cat >"$T/try.py" <<'PYTHON'
import base64
import paramiko

key = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32))).decode()

with open("known_hosts", "w") as file:
    file.write(f"*.example.org {key}\nbox {key}\n")
hosts = paramiko.HostKeys("known_hosts")
pattern, plain = hosts.lookup("gpu1.example.org") is not None, hosts.lookup("box") is not None
print(f"pattern: {pattern}, plain: {plain}")
raise SystemExit(pattern or not plain)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
