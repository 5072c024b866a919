#!/usr/bin/env bash
# stormssh 0.7.0, Storm.add_entry (behind `storm add`)
# Guess: adding a host writes its block, and the rest of the file means what it meant.
# Seen: the file is written anew: a Match block is a line of the Host before it, and its User is dropped, since that
# Host has one. Output: `before: Match host *.lab, User lab; after: match host *.lab, no User lab`.
# Hurts: whose tool adds a rented machine to ~/.ssh/config: logins to other hosts go to another account from then on.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check stormssh==0.7.0 paramiko==3.5.1 flask==3.1.3
cat >"$T/try.py" <<'PYTHON'
from pathlib import Path

from storm import Storm

config = Path("config")
config.write_text("Host box\n    HostName box.example.org\n    User bob\n\nMatch host *.lab\n    User lab\n")
Storm(str(config.resolve())).add_entry("new", "new.example.org", "me", 22, None, [])
lines = [line.strip().lower() for line in config.read_text().splitlines()]
match, user, added = "match host *.lab" in lines, "user lab" in lines, "host new" in lines
print(f"before: Match host *.lab, User lab; after: {'match host *.lab' if match else 'no match'}", end=", ")
print("User lab" if user else "no User lab")
raise SystemExit((match, user, added) != (True, False, True))
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
