"""Label Studio's own converter writes the same four spans in each of its formats: README.md."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from label_studio_sdk.converter import (  # type: ignore[import-not-found, unused-ignore]
    Converter,
)

HERE = Path(__file__).parent
SPANS = [(200, 207, "up"), (420, 440, "down"), (900, 905, "spike"), (1500, 1512, "up")]
CONFIG = """<View>
<TimeSeriesLabels name="label" toName="ts">
<Label value="up"/><Label value="down"/><Label value="spike"/>
</TimeSeriesLabels>
<TimeSeries name="ts" valueType="url" value="$csv" timeColumn="timestamp"
 timeFormat="%Y-%m-%d %H:%M:%S" timeDisplayFormat="%H:%M" sep=","><Channel column="close"/>
</TimeSeries></View>"""
NAMES = {
    "JSON": "label-studio.json",
    "JSON_MIN": "label-studio-min.json",
    "CSV": "label-studio.csv",
    "TSV": "label-studio.tsv",
}
AT = "2026-01-01T00:00:00Z"


def stamp(bar: int) -> str:
    """Return the open of a bar as the project's time format has it."""
    return str(np.datetime64(1_704_205_800 + 60 * bar, "s")).replace("T", " ")


def region(number: int, start: int, stop: int, word: str) -> dict[str, Any]:
    """Return what a person marked, with the last point inside."""
    value = {"start": stamp(start), "end": stamp(stop - 1), "instant": False}
    return {
        "id": f"r{number}",
        "type": "timeserieslabels",
        "origin": "manual",
        "from_name": "label",
        "to_name": "ts",
        "value": {**value, "timeserieslabels": [word]},
    }


def main() -> None:
    """Write each format beside this file."""
    annotation = {
        "id": 1,
        "completed_by": {"id": 1, "email": "a@example.org"},
        "lead_time": 9.5,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": AT,
        "updated_at": AT,
        "result": [region(i, *one) for i, one in enumerate(SPANS)],
    }
    task = {
        "id": 1,
        "data": {"csv": "/data/upload/1/bars.csv"},
        "project": 1,
        "created_at": AT,
        "updated_at": AT,
        "annotations": [annotation],
    }
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.json"
        raw.write_text(json.dumps([task]))
        for kind, name in NAMES.items():
            converter = Converter(CONFIG, folder, output_tags=["label"])
            converter.convert(str(raw), f"{folder}/{kind}", kind, is_dir=False)
            (written,) = (Path(folder) / kind).iterdir()
            shutil.copy(written, HERE / name)


if __name__ == "__main__":
    main()
