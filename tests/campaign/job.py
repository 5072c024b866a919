"""The job of the campaign: ``python job.py WORLD BEHAVIOUR``. It notes in WORLD that it ran."""

import os
import subprocess
import sys
import time
from pathlib import Path

world, behaviour = Path(sys.argv[1]), sys.argv[2]
run = Path(os.environ["MOOLA_RUN_DIR"])
with (world / "executed").open("ab", buffering=0) as file:
    file.write(run.name.encode() + b"\n")
artifacts = run / "artifacts"
artifacts.mkdir(exist_ok=True)
(artifacts / "plain").write_text(run.name)


def write(name: bytes, content: bytes) -> None:
    path = Path(os.fsdecode(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


top = os.fsencode(artifacts)
if behaviour == "workdir":
    write(b"outputs/day/model.bin", b"weights" * 100)
    write(b".hydra/config.yaml", b"lr: 1\n")
    write(b"job.py.bak", b"")
    with Path("notes.txt").open("a") as notes:  # in the snapshot, which is sealed
        notes.write("changed\n")
elif behaviour == "names":
    for name in (b"new\nline", b"no-utf8-\xff", "zero\u200cwidth".encode(), b".hidden", b" blank "):
        write(top + b"/" + name, name)
elif behaviour == "links":
    (artifacts / "last.ckpt").symlink_to("plain")
    (artifacts / "outside").symlink_to("/etc/hostname")
    (artifacts / "empty").mkdir()
elif behaviour == "many":
    for number in range(150):
        write(top + b"/many/%d" % (number % 7) + b"/%d" % number, b"%d" % number)
elif behaviour == "large":
    write(top + b"/large", os.urandom(3_000_000))
elif behaviour == "daemon":
    late = f"sleep 0.4; echo late > '{artifacts}/late'"
    subprocess.Popen(["setsid", "sh", "-c", late], env={"PATH": os.environ["PATH"]})
for number in range(20):
    os.write(1, f"line {number} of {run.name}\n".encode())
while behaviour == "wait" and not (world / "go").exists():
    time.sleep(0.05)
os.write(1, b"end\n")
sys.exit(3 if behaviour == "fail" else 0)
