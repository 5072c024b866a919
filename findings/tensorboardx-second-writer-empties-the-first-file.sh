#!/usr/bin/env bash
# tensorboardX 2.6.5, SummaryWriter (read with tbparse 0.0.9)
# Guess: two writers of one folder, one after the other, leave two files; both losses are read, as 1.2 s later they are.
# Seen: a file's name has the second and the host only, and an existing file is emptied: of two writers within a second
# the first one's events are gone, and nothing is said. (torch's writer has the process and a count in the name.)
# Output: `within a second: [2.0], later: [1.0, 2.0]`.
# Hurts: whose processes begin together and log to one folder (ranks of a job, train and eval): the file of one is cut
# off by the other; and who writes a short run and its evaluation. (Reported: lanpa/tensorboardX#776.)
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorboardX==2.6.5 tbparse==0.0.9 tensorboard==2.21.0 numpy==1.26.4 pandas==2.3.3 'setuptools<81'
cat >"$T/try.py" <<'PYTHON'
import time

from tbparse import SummaryReader
from tensorboardX import SummaryWriter


def losses(folder, pause):
    time.sleep(1 - time.time() % 1)  # a new second
    for step, loss in ((0, 1.0), (1, 2.0)):
        with SummaryWriter(folder) as writer:
            writer.add_scalar("loss", loss, step)
        time.sleep(pause)
    return SummaryReader(folder).scalars["value"].tolist()


together, later = losses("together", 0), losses("later", 1.2)
print(f"within a second: {together}, later: {later}")
raise SystemExit(together != [2.0] or later != [1.0, 2.0])
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
