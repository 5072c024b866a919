"""The agent as one file: its package, zipped in memory, named by its hash."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "agent"
# Understood by every Python 3: an older one shall say so, before it fails on our syntax.
START = """\
import sys
if sys.version_info < (3, 8):
    sys.stdout.write('{"ok": false, "error": "old_python", "message": "%d.%d.%d"}\\n'
                     % sys.version_info[:3])
    sys.exit(1)
# Names of files travel as UTF-8, whatever the pod's locale has them in.
if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode:
    import os
    os.execv(sys.executable, [sys.executable, "-X", "utf8", "-ISB"] + sys.argv)
# Byte code that an earlier call kept (agent/compiled.py); what it lacks is in this file.
folder, _, name = sys.argv[0].rpartition("/")
kept = "%s-%x.zip" % (sys.implementation.cache_tag, sys.hexversion)
sys.path.insert(0, "%s/../cache/agent/%s.%s" % (folder or ".", name[:-4], kept))
from moola_remote.agent.__main__ import run
sys.exit(run(sys.argv[1:]))
"""


@cache
def agent_program() -> tuple[str, bytes]:
    """Return the agent's digest (16 hex digits of its SHA-256) and its bytes, a ``.pyz``.

    The same sources give the same bytes: fixed dates, modes and order, nothing compressed (zlib
    differs between versions, and a pod's Python may lack it).
    """
    sources = {f"moola_remote/agent/{path.name}": path for path in PACKAGE.glob("*.py")}
    texts = {"__main__.py": START.encode(), "moola_remote/__init__.py": b""}
    texts.update({name: path.read_bytes() for name, path in sources.items()})
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(texts):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o600 << 16
            archive.writestr(entry, texts[name])
    return hashlib.sha256(content.getvalue()).hexdigest()[:16], content.getvalue()
