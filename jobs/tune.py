"""Choose a finished run's decoder and its constants on its validation windows.

    python -m jobs.tune results/RUN --data DIR
    python -m jobs.evaluate --run results/RUN --decoder results/RUN/artifacts/decoder.yaml ...

Tried: the seed's thresholds 0.1..0.9, thresholds 0.01..0.99 with gaps closed and short runs
dropped, and the best single span with biases -8..8. Writes ``decoder.yaml`` and ``decoder.png`` to
the run's artifacts; as a run of moola-remote, where the id of another run on the pod will do, to
its own. The validation windows are those of the run: same file, split and seed. Where all windows
trained, they are those that its scout left out: scout and columns are trained again (the same bits;
half the epochs), since the networks that answer know every window. The chosen score is of the
windows that it was chosen on; judge it on others.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.common.entry import exit_code_of
from jobs.common.paths import found, make_folder, output, own_artifacts
from moola_core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from moola_core.config.sections import DecoderConfig
    from moola_core.data.windows import Windows
    from moola_core.decoding.decode import Predictions
    from moola_core.decoding.sweep import Tried
    from moola_core.inference.trained_model import TrainedModel


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="jobs.tune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=found, help="folder of a finished run, with artifacts/")
    parser.add_argument(
        "--data", default=os.environ.get("MOOLA_DATA_DIR"), help="default: $MOOLA_DATA_DIR"
    )
    parser.add_argument("--out", type=output, help="folder for what is written")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--skip-bad", action="store_true", help="leave faulty windows out")
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: tune(arguments))


def tune(arguments: argparse.Namespace) -> None:
    """Load, sweep, print, write."""
    print("reading code and data", file=sys.stderr, flush=True)
    from jobs.common.console import decoder_text
    from jobs.common.data import find_device
    from moola_core.config.recipe import dump_decoder
    from moola_core.decoding.sweep import SEED_THRESHOLDS, best_of, families, sweep, thresholds
    from moola_core.inference.trained_model import load_model
    from moola_core.plots.diagnostics import draw_sweeps

    trained = load_model(arguments.run / "artifacts", find_device(arguments.device))
    if trained.decoder.kind == "disjoint":
        raise ConfigError(
            f"{arguments.run}: its model finds several spans a window, expected one that finds one;"
            " choose its price of a span by jobs.crossval: --set decoder.least_gain=0.9"
        )
    windows, predictions = _validation(trained, arguments)
    print(f"recipe {trained.recipe.name}, {len(windows)} validation windows", flush=True)
    _print_seed(sweep(predictions, windows.spans, thresholds(SEED_THRESHOLDS)))
    swept = {
        name: sweep(predictions, windows.spans, decoders)
        for name, decoders in families(trained.decoder).items()
    }
    best = {name: best_of(tried) for name, tried in swept.items()}
    _print_best(best, predictions, windows)
    # Plain ones come first, and only a higher score displaces them.
    chosen = max(best.values(), key=lambda one: one.f1).decoder
    out: Path = arguments.out or own_artifacts() or arguments.run / "artifacts"
    make_folder("--out", out)
    (out / "decoder.yaml").write_text(dump_decoder(chosen), encoding="utf-8")
    draw_sweeps(
        out / "decoder.png",
        {"threshold": swept["threshold"], "bias": swept["best_span"]},
        swept["the run's own"][0],
    )
    print(f"chosen: {decoder_text(chosen)}; written: {out / 'decoder.yaml'}, decoder.png")


def _validation(
    trained: TrainedModel, arguments: argparse.Namespace
) -> tuple[Windows, Predictions]:
    """Return the windows on which the run was validated, and what is said of them."""
    from jobs.common.data import data_folder, read_file
    from jobs.common.fitting import load
    from jobs.common.weighing import said_of_left_out
    from jobs.common.window_sets import split_windows
    from moola_core.inference.trained_model import RunResult
    from moola_core.io.json_file import read_json

    recipe, data_dir = trained.recipe, data_folder(arguments.data)
    name = recipe.data.labelled.as_posix()
    windows, entry = read_file(
        data_dir, name, skip_bad=arguments.skip_bad, keep_none=recipe.model.may_have_none
    )
    try:
        files = read_json(arguments.run / "result.json", RunResult).data.files
    except (OSError, ValueError) as err:
        raise DataError(f"{arguments.run}: expected a finished run with result.json") from err
    if entry not in files:
        raise DataError(
            f"{name}: not the file that the run was trained on (other content or --skip-bad),"
            " its validation windows are unknown; give the run's own --data"
        )
    _, validation = split_windows(windows, recipe)
    if validation is not None:
        return validation, trained.predict(validation.bars)
    if not recipe.ensemble.columns:
        raise DataError(
            f"{arguments.run}: trained on all windows, expected some to choose on;"
            " train again with --set split.validation_share=0.2 and tune that run"
        )
    print("trained on all windows: its scout again, on those it left out", file=sys.stderr)
    loaded = load(recipe, data_dir, arguments.device, skip_bad=arguments.skip_bad)
    return said_of_left_out(loaded)


def _print_seed(tried: list[Tried]) -> None:
    print(f"\n{'threshold':>9} {'F1':>6} {'prec.':>6} {'recall':>6} {'IoU50':>6}")
    for one in tried:
        print(f"{one.decoder.threshold:9.1f} {_scores(one)}")


def _print_best(best: dict[str, Tried], predictions: Predictions, windows: Windows) -> None:
    """Print the best of each kind, with the interval of its F1 over spans."""
    from jobs.common.fitting import truth_of
    from moola_core.decoding.decode import decode
    from moola_core.evaluation.metrics import score

    head = f"{'F1':>6} {'prec.':>6} {'recall':>6} {'IoU50':>6}"
    print(f"\n{'best of':25} {'constant':>22} {head}  95% of F1")
    for name, one in best.items():
        f1 = score(decode(predictions, one.decoder), None, truth_of(windows))["f1"]
        constant = _constant(one.decoder)
        print(f"{name:25} {constant:>22} {_scores(one)}  [{f1.low:.3f}, {f1.high:.3f}]")


def _constant(decoder: DecoderConfig) -> str:
    if decoder.kind == "best_span":
        return f"bias {decoder.bias:.2f}"
    if decoder.kind != "threshold":
        return decoder.kind
    more = (decoder.max_gap, decoder.min_bars)
    return f"{decoder.threshold:.2f}" + (f", gap {more[0]}, run {more[1]}" * (more != (0, 1)))


def _scores(one: Tried) -> str:
    return f"{one.f1:6.3f} {one.precision:6.3f} {one.recall:6.3f} {one.iou50:6.3f}"


if __name__ == "__main__":
    sys.exit(main())
