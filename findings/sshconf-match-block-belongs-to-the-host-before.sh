#!/usr/bin/env bash
# sshconf 0.2.7
# Guess: the keys of a `Match` block are its own; they stay as they are when the Host before it is read, set or removed.
# Seen: the block counts to that Host: host() reports its user and port, set() changes its port, and remove() takes
# the whole block out of the file. `ssh -G box` says port 22. Output:
# `box: user bob, port 2200; after set: Port 4022 under Match; after remove: Match gone`.
# Hurts: whose tool adds and removes a rented machine in ~/.ssh/config: settings of other hosts are changed or lost.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check sshconf==0.2.7
cat >"$T/config" <<'CONFIG'
Host box
    HostName 203.0.113.7

Match host other
    User bob
    Port 2200
CONFIG
cat >"$T/try.py" <<'PYTHON'
from sshconf import read_ssh_config

config = read_ssh_config("config")
box = config.host("box")
config.set("box", Port=4022)
below = "Port 4022" in config.config().partition("Match")[2]
config.remove("box")
gone = "Match" not in config.config()
where = "under Match" if below else "elsewhere"
print(f"box: user {box.get('user')}, port {box.get('port')}; after set: Port 4022 {where}; ", end="")
print(f"after remove: Match {'gone' if gone else 'kept'}")
raise SystemExit((box.get("user"), box.get("port")) != ("bob", "2200") or not below or not gone)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
