#!/usr/bin/env bash
# asyncssh 2.24.1, ProxyCommand of a config file
# Guess: a ProxyCommand is a line for the user's shell, as ssh_config(5) says.
# Seen: it is split into words and started without a shell: `2>/dev/null` is its last argument. Output:
# `['nc', 'box', '22', '2>/dev/null']`.
# Hurts: who silences or pipes his proxy's output in ~/.ssh/config: the proxy gets words it doesn't know.
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
    file.write("Host box\n  ProxyCommand nc %h %p 2>/dev/null\n")
options = asyncssh.SSHClientConnectionOptions(config=["config"], host="box", known_hosts=None)
words = list(options.proxy_command)
print(words)
raise SystemExit(words != ["nc", "box", "22", "2>/dev/null"])
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
