#!/usr/bin/env bash
# paramiko 5.1.0, SSHConfig
# Guess: `ProxyJump none` means no jump host, as ssh_config(5) says and as paramiko itself has it for
# `ProxyCommand none`.
# Seen: lookup() returns proxyjump 'none'; of ProxyCommand the same word is left out. Output:
# `proxyjump: none, proxycommand: None`.
# Hurts: who excepts one host from `Host * / ProxyJump bastion`; a client that follows the value connects to
# a host named none. ssh -G prints no proxyjump.
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
text = "Host direct\n  ProxyJump none\n  ProxyCommand none\nHost *\n  ProxyJump bastion\n"
config.parse(io.StringIO(text))
found = config.lookup("direct")
print(f"proxyjump: {found.get('proxyjump')}, proxycommand: {found.get('proxycommand')}")
raise SystemExit(found.get("proxyjump") != "none" or found.get('proxycommand') is not None)
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
