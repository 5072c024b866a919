from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from moola_core.config.sections import Recipe, TrainingConfig
from moola_core.data.splits import make_split
from moola_core.data.windows import Windows
from moola_core.errors import NonFiniteLossError
from moola_core.evaluation.metrics import Truth
from moola_core.features.tensors import make_tensors
from moola_core.inference.forward import predict
from moola_core.inference.trained_model import feature_names
from moola_core.model.make import make_model
from moola_core.training.checkpoint import load_latest
from moola_core.training.loop import fit
from moola_core.training.optim import learning_rate
from moola_core.training.seeding import seed_everything
from moola_core.training.state import Run, Stopped, restore
from tests.support.tensors import assert_close

pytestmark = pytest.mark.train

MakeRun = Callable[[], Run]


def make_run(recipe: Recipe, windows: Windows) -> Run:
    cpu = torch.device("cpu")
    split = make_split(windows, recipe.split, seed=0)
    train, validation = windows.take(split.train), windows.take(split.validation)
    seed_everything(recipe.training)
    return Run(
        recipe=recipe,
        model=make_model(len(feature_names(recipe)), recipe.model),
        train=make_tensors(train, recipe, cpu, reflection=bool(recipe.training.reflection)),
        validation=make_tensors(validation, recipe, cpu, reflection=recipe.model.symmetric),
        truth=Truth(validation.spans, validation.types, validation.group),
        device=cpu,
    )


@pytest.fixture(params=["heads", "crf", "choice", "checkpoints", "spans"])
def new_run(request: pytest.FixtureRequest, small_recipe: Recipe, windows: Windows) -> MakeRun:
    table = small_recipe.model_dump()
    if request.param == "crf":
        table["model"]["crf"] = True
        table["decoder"]["kind"] = "viterbi"
    if request.param == "checkpoints":
        table["ensemble"]["checkpoints"] = 2
        table["training"]["checkpoint_epochs"] = 2
    if request.param == "choice":
        table["model"] |= {"tasks": ["choice", "context_type", "edges"], "symmetric": True}
        table["training"]["schedule"] = "one_cycle"
        table["decoder"]["kind"] = "expected_iou"
    if request.param == "spans":
        table["model"] |= {"kind": "unet", "width": 4, "max_length": 30}
        table["model"]["tasks"] = ["segment", "type"]
        table["training"] |= {"schedule": "one_cycle", "stretch": 0.2, "jitter": 0.15}
        table["training"] |= {"average": 0.9, "reflection": "spans"}
        table["decoder"] = {"kind": "expected_iou", "max_length": 30}
    return lambda: make_run(Recipe.model_validate(table), windows)


def _assert_same(one: Run, other: Run) -> None:
    """Weights, optimizer, generators and history, bit for bit; only the clock may differ."""
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name
    for name, value in one.progress.best.items():
        assert torch.equal(value, other.progress.best[name]), name
    assert len(one.progress.snapshots) == len(other.progress.snapshots)
    for ours, others in zip(one.progress.snapshots, other.progress.snapshots, strict=True):
        assert all(torch.equal(value, others[name]) for name, value in ours.items())
    for name, value in one.answering.state_dict().items():
        assert torch.equal(value, other.answering.state_dict()[name]), name
    mine, theirs = one.optimizer.state_dict()["state"], other.optimizer.state_dict()["state"]
    assert mine.keys() == theirs.keys()
    for i, moments in mine.items():
        assert all(torch.equal(value, theirs[i][name]) for name, value in moments.items())
    assert torch.equal(one.epoch_start, other.epoch_start)
    histories = [
        [{k: v for k, v in entry.items() if k != "seconds"} for entry in run.progress.history]
        for run in (one, other)
    ]
    assert histories[0] == histories[1]


def test_two_runs_of_one_seed_are_the_same_bit_for_bit(new_run: MakeRun) -> None:
    one = new_run()
    fit(one)
    other = new_run()
    fit(other)
    _assert_same(one, other)


def test_a_run_that_is_stopped_five_times_ends_as_the_undisturbed_one(
    new_run: MakeRun, tmp_path: Path
) -> None:
    whole = new_run()
    fit(whole)
    after_whole = torch.get_rng_state()
    for steps in (2, 1, 3, 1, 1, 99):
        torch.manual_seed(1234)  # a new process knows nothing of the generators
        run = new_run()
        run.checkpoints = tmp_path
        if steps != 2:
            restore(run, load_latest(tmp_path)[0])
        left = iter(range(steps))
        run.is_stopping = lambda left=left: next(left, None) is None  # type: ignore[misc]
        if steps < 99:
            with pytest.raises(Stopped):
                fit(run)
        else:
            fit(run)
            _assert_same(whole, run)
    assert torch.equal(torch.get_rng_state(), after_whole)


def test_more_epochs_go_on_where_the_last_ones_ended(
    small_recipe: Recipe, windows: Windows, tmp_path: Path
) -> None:
    def with_epochs(epochs: int) -> Recipe:
        table = small_recipe.model_dump()
        table["training"] |= {"epochs": epochs, "schedule": "constant"}
        return Recipe.model_validate(table)

    whole = make_run(with_epochs(4), windows)
    fit(whole)
    first = make_run(with_epochs(2), windows)
    first.checkpoints = tmp_path
    fit(first)
    second = make_run(with_epochs(4), windows)
    restore(second, load_latest(tmp_path)[0])
    fit(second)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])


def test_the_last_checkpoints_are_kept_where_they_answer_together(
    small_recipe: Recipe, windows: Windows
) -> None:
    table = small_recipe.model_dump()
    table["ensemble"]["checkpoints"] = 2
    table["training"] |= {"epochs": 5, "checkpoint_epochs": 2}
    run = make_run(Recipe.model_validate(table), windows)
    weights: list[torch.Tensor] = []
    run.report = lambda kind, _: (
        weights.append(run.model.log_sigma.detach().clone()) if kind == "epoch" else None
    )
    fit(run)
    kept = [snapshot["log_sigma"] for snapshot in run.progress.snapshots]
    assert_close(torch.stack(kept), torch.stack([weights[3], weights[4]]))


@pytest.fixture
def linear_recipe(small_recipe: Recipe) -> Recipe:
    table = small_recipe.model_dump()
    table["model"] |= {"hidden_size": 0, "choice_hidden_size": 0}
    table["model"] |= {"tasks": ["choice", "context_type"]}
    table["loss"]["ridge"] = 0.02
    table["training"] |= {"optimizer": "lbfgs", "epochs": 6}
    table["decoder"]["kind"] = "expected_iou"
    return Recipe.model_validate(table)


def test_a_linear_model_is_fitted_to_where_its_loss_is_lowest(
    linear_recipe: Recipe, windows: Windows
) -> None:
    run = make_run(linear_recipe, windows)

    def steepest() -> float:
        run.model.zero_grad()
        run.criterion(
            run.model(run.train.features, run.train.candidates), run.train
        ).total.backward()
        slopes = [p.grad.abs().max() for p in run.model.column_parameters() if p.grad is not None]
        assert len(slopes) == 3
        return float(max(slopes))

    before = steepest()
    fit(run)
    totals = [entry["train"]["total"] for entry in run.progress.history]
    assert totals == sorted(totals, reverse=True)
    # float32 leaves about 0.001 of 0.26; how much, depends on the processor.
    after = steepest()
    assert after < 0.02 * before
    assert run.criterion.sigma() == {"choice": 1.0, "context_type": 1.0}


def test_a_linear_model_needs_no_luck_and_goes_on_where_it_was_stopped(
    linear_recipe: Recipe, windows: Windows, tmp_path: Path
) -> None:
    whole = make_run(linear_recipe, windows)
    fit(whole)
    training = linear_recipe.training.model_copy(update={"seed": 7})
    other = linear_recipe.model_copy(update={"training": training})
    stopped = make_run(other, windows)
    stopped.checkpoints = tmp_path
    left = iter(range(2))
    stopped.is_stopping = lambda: next(left, None) is None
    with pytest.raises(Stopped):
        fit(stopped)
    resumed = make_run(other, windows)
    restore(resumed, load_latest(tmp_path)[0])
    assert resumed.progress.epoch == 2
    fit(resumed)
    for task in ("choice_head.linear.weight", "context_type_head.linear.weight"):
        name = f"span_heads.{task}"
        assert torch.equal(whole.model.state_dict()[name], resumed.model.state_dict()[name])


@pytest.mark.parametrize(("value", "shown"), [(math.nan, "nan"), (math.inf, "inf")])
def test_a_loss_that_is_not_finite_stops_with_task_and_batch(
    small_recipe: Recipe, windows: Windows, value: float, shown: str
) -> None:
    run = make_run(small_recipe, windows)
    order = torch.randperm(len(run.train), generator=torch.Generator().manual_seed(0))
    run.train.countdown[order[20]] = value  # of the second batch of 16
    with pytest.raises(NonFiniteLossError) as caught:
        fit(run)
    assert f"epoch 1, batch 2: the loss of countdown is {shown}" in str(caught.value)
    assert all(torch.isfinite(p).all() for p in run.model.parameters())


def test_every_epoch_is_reported_with_the_keys_of_the_protocol(
    small_recipe: Recipe, windows: Windows, tmp_path: Path
) -> None:
    events: list[tuple[str, dict[str, Any]]] = []
    run = make_run(small_recipe, windows)
    run.checkpoints = tmp_path / "checkpoints"
    run.report = lambda kind, keys: events.append((kind, keys))
    fit(run)
    assert [kind for kind, _ in events] == ["epoch"] * 3 + ["checkpoint"]
    entry, tasks = events[0][1], small_recipe.model.tasks
    assert set(entry) == {
        *("epoch", "epochs", "seconds", "learning_rate", "train", "validation"),
        *("sigma", "share", "gradient_share", "scores"),
    }
    assert set(entry["train"]) == set(entry["validation"]) == {"total", *tasks}
    assert set(entry["sigma"]) == set(entry["share"]) == set(entry["gradient_share"]) == set(tasks)
    assert set(entry["scores"]) == {"f1", "precision", "recall", "iou", "in_span", "out_span"}
    assert events[-1][1]["path"] == "checkpoints/epoch-0003"


def test_training_and_validation_are_totals_of_one_formula(
    small_recipe: Recipe, windows: Windows
) -> None:
    run = make_run(small_recipe, windows)
    fit(run)
    entry = run.progress.history[-1]
    expected = sum(
        entry["validation"][task] / (2 * sigma**2) + math.log(sigma)
        for task, sigma in entry["sigma"].items()
    )
    assert entry["validation"]["total"] == pytest.approx(expected, rel=1e-4)


def test_training_learns(small_recipe: Recipe, windows: Windows) -> None:
    table = small_recipe.model_dump()
    table["training"] |= {"epochs": 20, "learning_rate": 0.02}
    table["model"] |= {"input_dropout": 0.0, "head_dropout": 0.0}
    run = make_run(Recipe.model_validate(table), windows)
    fit(run)
    first, last = run.progress.history[0], run.progress.history[-1]
    assert last["train"]["total"] < first["train"]["total"]
    assert last["scores"]["in_span"] > last["scores"]["out_span"] + 0.02


def test_the_best_weights_are_those_of_the_best_epoch(
    small_recipe: Recipe, windows: Windows
) -> None:
    run = make_run(small_recipe, windows)
    fit(run)
    totals = [entry["validation"]["total"] for entry in run.progress.history]
    assert run.progress.best_epoch == 1 + totals.index(min(totals))
    assert run.progress.best_value == min(totals)


def test_the_cosine_falls_from_the_rate_to_nothing() -> None:
    training = TrainingConfig(epochs=10, learning_rate=0.002, schedule="cosine")
    rates = [learning_rate(training, e, b, 4) for e in range(10) for b in range(4)]
    assert rates[0] == 0.002
    assert rates == sorted(rates, reverse=True)
    assert rates[20] == pytest.approx(0.001)
    assert 0 < rates[-1] < 2e-5


def test_predictions_are_the_same_in_parts_and_without_dropout(
    small_recipe: Recipe, windows: Windows
) -> None:
    run = make_run(small_recipe, windows)
    whole = predict(run.model, run.train)
    again = predict(run.model, run.train)
    assert (whole.span_logits == again.span_logits).all()
    assert whole.start_logp.shape == run.train.span.shape
    assert whole.type_probs is not None
    assert whole.type_probs.sum(axis=1) == pytest.approx(1)
