"""The word of a run's id: from its script and what it was given."""

from __future__ import annotations

import shlex

import pytest

from moola_remote.protocol.label import MAX_LABEL, label_of, script_of, slug


@pytest.mark.parametrize(
    ("command", "label"),
    [
        ("python train.py --lr 3e-3", "train-lr3e-3"),
        ("python train.py --lr=3e-3 --data /a/b --seed 3", "train-lr3e-3-seed3"),
        ("python3 -u src/train_all.py", "train-all"),
        ("python -c 'print(1)'", "python"),
        ("uv run train.py model.depth=4 +seed=1", "train-depth4-seed1"),
        ("uv run --frozen fit --lr 1", "fit-lr1"),
        ("torchrun --nproc_per_node 2 -m pkg.train --epochs 3", "train-epochs3"),
        ("accelerate launch train.py", "train"),
        ("bash run.sh", "run"),
        ("sh -c 'echo hi'", "sh"),
        ("bash -lc 'cd a && python train.py'", "bash"),
        ("./train.py --verbose --epochs 3", "train-epochs3"),
        ("python train.py --token abcdefghijklmnop", "train"),
        ("python train.py --a-key 100 --another-key 200 --and-one 300", "train-a-key100"),
    ],
)
def test_a_script_is_named_with_what_it_was_given(command: str, label: str) -> None:
    assert label_of(shlex.split(command)) == label


@pytest.mark.parametrize(
    ("command", "script"),
    [
        ("python train.py --lr 3e-3 --config other.py", "train.py"),
        ("python3.12 -u -W error ./src//train.py", "src/train.py"),
        ("torchrun --nproc_per_node 2 train.py", "train.py"),
        ("accelerate launch --config_file a.yaml src/train.py", "src/train.py"),
        ("bash -x run.sh", "run.sh"),
        ("./run.sh now", "run.sh"),
        ("python -m pkg.train --script x.py", None),
        ("python -c 'print(1)' x.py", None),
        ("bash -lc 'cd src && python train.py'", None),
        ("python /opt/train.py", None),
        ("python ../train.py", None),
        ("env -C src python train.py", None),
        ("uv run --directory src train.py", None),
        ("python", None),
        ("nvidia-smi", None),
    ],
)
def test_the_script_that_a_command_starts(command: str, script: str | None) -> None:
    assert script_of(shlex.split(command)) == script


@pytest.mark.parametrize(
    ("text", "made"), [("Größe 1/2", "grosse-1-2"), ("Straße café", "strasse-cafe"), ("実験", "")]
)
def test_letters_with_marks_are_written_plainly(text: str, made: str) -> None:
    assert slug(text) == made


@pytest.mark.parametrize("text", ["", "---", "ß", "x" * 100, "A b/C"])
def test_a_slug_is_part_of_an_id(text: str) -> None:
    made = slug(text)
    assert len(made) <= MAX_LABEL
    assert made == made.strip("-")
    assert all(c.isascii() and (c.isalnum() or c == "-") for c in made)
