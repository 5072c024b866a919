"""Seed every random generator."""

from __future__ import annotations

import torch

from moola_core.config.sections import TrainingConfig


def seed_everything(training: TrainingConfig) -> None:
    """Fix threads and the generator of weights and dropout; what can't be repeated is refused."""
    torch.set_num_threads(training.threads)
    torch.manual_seed(training.seed)
    # What use_deterministic_algorithms(True) does, without importing the compiler (1.5 s).
    torch.set_deterministic_debug_mode("error")
    # Else deterministic mode fills fresh memory with NaN before an op writes it: 18% of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
