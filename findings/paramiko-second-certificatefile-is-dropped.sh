#!/usr/bin/env bash
# paramiko 5.1.0, SSHConfig
# Guess: several `CertificateFile` lines add up, as `IdentityFile` does in paramiko and both do in OpenSSH.
# Seen: only the first one stays. Output: `identityfile: ['/a', '/b'], certificatefile: '/a-cert.pub'`.
# Hurts: who has one certificate for each of two companies: the second is never offered.
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
config.parse(io.StringIO(
    "Host box\n  IdentityFile /a\n  IdentityFile /b\n"
    "  CertificateFile /a-cert.pub\n  CertificateFile /b-cert.pub\n"
))
found = config.lookup("box")
print(f"identityfile: {found['identityfile']}, certificatefile: {found['certificatefile']!r}")
raise SystemExit(found["identityfile"] != ["/a", "/b"] or found["certificatefile"] != "/a-cert.pub")
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
