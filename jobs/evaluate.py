"""Score a run's trained model on a file of labelled windows, beside the rules.

    python -m jobs.evaluate --run results/RUN --file labelled/test_1000.parquet --data DIR

Nothing is chosen here: the decoder is the run's own or one that jobs.tune chose, and the rules' fee
comes from the run's training file. Read a test file once per row of a final table.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from jobs.common.entry import exit_code_of
from jobs.common.paths import found, output, require_place
from moola_core.io.json_file import write_json

if TYPE_CHECKING:
    from moola_core.data.windows import Windows
    from moola_core.inference.trained_model import TrainedModel


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="jobs.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", type=found, required=True, help="folder of a run, with artifacts/")
    parser.add_argument("--file", required=True, help="labelled windows, below the data folder")
    parser.add_argument(
        "--data", default=os.environ.get("MOOLA_DATA_DIR"), help="default: $MOOLA_DATA_DIR"
    )
    parser.add_argument(
        "--decoder", type=found, help="decoder.yaml of jobs.tune, not the run's own"
    )
    parser.add_argument("--trees", action="store_true", help="boosted trees beside it; slow")
    parser.add_argument("--peers", action="store_true", help="a plain U-Net beside it, trained now")
    parser.add_argument("--out", type=output, help="write the scores as JSON too")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--skip-bad", action="store_true", help="leave faulty windows out")
    parser.add_argument(
        "--any-bar-length", action="store_true", help="also bars unlike those it was trained on"
    )
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: evaluate(arguments))


def evaluate(arguments: argparse.Namespace) -> None:
    """Load, predict, score, print."""
    require_place("--out", arguments.out)
    print("reading code and data", file=sys.stderr, flush=True)
    import numpy as np

    from jobs.common.console import print_beside, print_scores
    from jobs.common.data import data_folder, read_file
    from jobs.common.fitting import truth_of
    from jobs.common.reporting import TREES, UNET, answers_of, as_json
    from jobs.common.window_sets import note_seen, taught_windows
    from moola_core.decoding.decode import decode
    from moola_core.evaluation.comparison import (
        compare,
        reliability_lines,
        reliability_of,
        table_lines,
    )
    from moola_core.evaluation.metrics import chance_type_f1, score

    data_dir = data_folder(arguments.data)
    trained = _load(arguments)
    reads = {"skip_bad": arguments.skip_bad, "keep_none": trained.recipe.model.may_have_none}
    windows, entry = read_file(data_dir, arguments.file, **reads)
    windows = windows.with_labels(trained.labels, arguments.file)
    _require_fit(arguments, windows, trained)
    train, _ = read_file(data_dir, trained.recipe.data.labelled.as_posix(), **reads)
    note_seen(windows, train, trained.recipe)
    print(f"evaluating the model on {len(windows):,} windows", file=sys.stderr, flush=True)
    predictions = trained.predict(windows.bars)
    print("scoring its predictions", file=sys.stderr, flush=True)
    decoded, truth = decode(predictions, trained.decoder), truth_of(windows)
    scores, chance = score(decoded, predictions, truth), chance_type_f1(predictions, truth, decoded)
    if trained.recipe.data.windows is not None:  # peers learn from no more than the run did
        train = taught_windows(train, trained.recipe)
    peers = [*([TREES] if arguments.trees else []), *([UNET] if arguments.peers else [])]
    rows = np.arange(len(windows))
    repeats = [[answers_of(windows, rows, train, predictions, trained.decoder, peers)]]
    table = compare(repeats, windows.group, "recipe")
    reliable = reliability_of(repeats, "recipe")
    print(f"recipe {trained.recipe.name}, {len(windows)} windows of {arguments.file}")
    print_scores(scores, {})
    print_beside(chance, predictions, decoded, truth)
    print("\n".join([*table_lines(table), *reliability_lines(reliable)]))
    if arguments.out is not None:
        about = {"recipe": trained.recipe.name, "run": arguments.run.resolve().name, "file": entry}
        about |= {"decoder": trained.decoder.model_dump(mode="json"), "scores": as_json(scores)}
        write_json(
            arguments.out,
            {
                **about,
                "type_f1_chance": chance.to_dict(),
                "comparison": table,
                "reliability": reliable,
            },
        )


def _load(arguments: argparse.Namespace) -> TrainedModel:
    from jobs.common.data import find_device
    from moola_core.config.recipe import load_decoder
    from moola_core.inference.trained_model import load_model

    trained = load_model(arguments.run / "artifacts", find_device(arguments.device))
    if arguments.decoder:
        trained = replace(trained, decoder=load_decoder(arguments.decoder))
    return trained


def _require_fit(arguments: argparse.Namespace, windows: Windows, trained: TrainedModel) -> None:
    from jobs.common.data import require_spans
    from moola_core.data.series_checks import require_length, require_window

    known = f"{arguments.run} was trained on"
    require_spans(arguments.file, windows, trained.recipe)
    require_window(arguments.file, windows.num_bars, trained.window_bars, known)
    if not arguments.any_bar_length:
        require_length(arguments.file, windows.bar_ns, trained.bar_ns, known)


if __name__ == "__main__":
    sys.exit(main())
