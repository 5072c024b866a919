"""Pre-train JadeCompact's encoder on unlabelled bars: masked reconstruction.

    python -m jobs.pretrain --run-dir DIR --data DIR

This is ``python -m jobs.train --config configs/train/pretrain.yaml`` with the same options: a
recipe that has the section ``pretrain`` is done here. The run's folder is as any run's; its
artifacts are ``encoder.safetensors``, ``encoder.json``, ``metrics.json`` and ``loss_curves.png``.
Start from it with ``--set model.encoder=FOLDER`` (below the data folder, or absolute).
"""

from __future__ import annotations

import sys
from pathlib import Path

from jobs.common.entry import leave

CONFIG = Path(__file__).parents[1] / "configs" / "train" / "pretrain.yaml"


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    from jobs.train import main as train

    return train(["--config", str(CONFIG), *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    leave(main())
