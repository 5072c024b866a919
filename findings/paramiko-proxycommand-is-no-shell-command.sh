#!/usr/bin/env bash
# paramiko 5.1.0, ProxyCommand
# Guess: a ProxyCommand is a line for the user's shell, as ssh_config(5) says: `2>/dev/null` and pipes work.
# Seen: its words are split and the first is started; the rest, `2>/dev/null` too, are arguments. Output:
# `got: b'SSH-2.0-relay 2>/dev/null\n'`.
# Hurts: who silences or pipes his proxy's output in ~/.ssh/config: the proxy gets words it doesn't know.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check paramiko==5.1.0
cat >"$T/try.py" <<'PYTHON'
import paramiko

proxy = paramiko.ProxyCommand("echo SSH-2.0-relay 2>/dev/null")
proxy.settimeout(5)
got = b""
while not got.endswith(b"\n"):
    got += proxy.recv(1)
proxy.process.wait()
print("got:", got)
raise SystemExit(got != b"SSH-2.0-relay 2>/dev/null\n")
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
