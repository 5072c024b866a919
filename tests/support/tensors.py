"""Whether tensors are equal but for rounding, as `torch.testing.assert_close` judges it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# torch's own rtol and atol; whole numbers are equal or not.
EXACT = (0.0, 0.0)
TOLERANCES = {torch.float32: (1.3e-6, 1e-5), torch.float64: (1e-7, 1e-7)}


def assert_close(
    actual: Tensor, expected: Tensor, *, rtol: float | None = None, atol: float | None = None
) -> None:
    """Fail where shapes, types or, by more than the tolerance, numbers differ; NaN equals nothing.

    torch's does the same, but its first call imports torch.distributed and sympy: a second for
    each worker.

    Args:
        actual: what is tested.
        expected: what it is to be; `rtol` is of it.
        rtol: torch's own by default, as `atol`; they are given together or not at all.
        atol: absolute.
    """
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    assert (rtol is None) == (atol is None)
    if rtol is None or atol is None:
        rtol, atol = TOLERANCES.get(expected.dtype, EXACT)
    ours, theirs = actual.detach().numpy(), expected.detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, equal_nan=False)
