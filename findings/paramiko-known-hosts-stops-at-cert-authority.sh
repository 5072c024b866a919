#!/usr/bin/env bash
# paramiko 5.1.0, HostKeys.load (behind SSHClient.load_system_host_keys)
# Guess: a line with a marker (`@cert-authority`, `@revoked`) is understood or skipped; the lines after it
# count, as sshd(8), SSH_KNOWN_HOSTS FILE FORMAT, has it.
# Seen: loading ends with InvalidHostKey; the host of the next line is unknown. Output: `InvalidHostKey, known: []`.
# Hurts: whose company signs host keys: no host of the file is known to any program on paramiko.
# ssh-keygen -F finds the second line.
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
    file.write(f"@cert-authority *.example.org {key}\nbox {key}\n")
hosts = paramiko.HostKeys()
error = None
try:
    hosts.load("known_hosts")
except Exception as err:
    error = type(err).__name__
print(f"{error}, known: {list(hosts.keys())}")
raise SystemExit(error != "InvalidHostKey" or "box" in hosts)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
