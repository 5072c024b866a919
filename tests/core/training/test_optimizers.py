"""Our optimizers are torch's own, to the bit, and start no compiler."""

from __future__ import annotations

import subprocess
import sys
from inspect import unwrap
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from moola_core.training.optimizers import LBFGS, AdamW


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have torch's own optimizers find a compiler that leaves their methods as they are.

    That is what theirs does outside of torch.compile, but its import takes a second.
    """
    stand_in = SimpleNamespace(disable=lambda method, *_, **__: method, graph_break=lambda: None)
    monkeypatch.setitem(sys.modules, "torch._dynamo", stand_in)
    monkeypatch.setattr(torch, "_dynamo", stand_in, raising=False)
    for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
        # where the wrapper keeps what it got of the compiler
        method = unwrap(getattr(torch.optim.Optimizer, name))
        monkeypatch.setattr(method, "__dynamo_disable", method, raising=False)


def nets() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    ours, theirs = (nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def loss_of(net: nn.Module) -> Tensor:
    batch = torch.linspace(-1, 1, 40).reshape(8, 5)
    loss: Tensor = (net(batch) - batch.sum(1, keepdim=True)).square().mean()
    return loss


def assert_equal(ours: nn.Module, theirs: nn.Module) -> None:
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("fused", [None, True])
def test_adamw_does_the_steps_of_torch_to_the_bit(fused: bool | None) -> None:
    ours, theirs = nets()
    mine = AdamW(ours.parameters(), lr=0.01, weight_decay=0.1, fused=fused)
    others = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1, fused=fused)
    for _ in range(5):
        for net, optimizer in ((ours, mine), (theirs, others)):
            optimizer.zero_grad(set_to_none=True)
            loss_of(net).backward()
            optimizer.step()
    assert_equal(ours, theirs)
    again = AdamW(ours.parameters(), lr=0.5)
    again.load_state_dict(others.state_dict())
    assert str(again.state_dict()) == str(mine.state_dict())
    assert all(p.grad is not None for p in ours.parameters())
    mine.zero_grad()
    assert all(p.grad is None for p in ours.parameters())


def test_lbfgs_does_the_steps_of_torch_to_the_bit() -> None:
    ours, theirs = nets()
    first = loss_of(ours).item()
    for net, kind in ((ours, LBFGS), (theirs, torch.optim.LBFGS)):
        optimizer = kind(net.parameters(), max_iter=10, line_search_fn="strong_wolfe")

        def closure(net: nn.Module = net, optimizer: torch.optim.Optimizer = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = loss_of(net)
            loss.backward()
            return loss

        optimizer.step(closure)
    assert_equal(ours, theirs)
    assert loss_of(ours).item() < first / 10


@pytest.mark.process
def test_a_step_imports_no_compiler() -> None:
    script = """
import sys, torch
from moola_core.training.optimizers import AdamW, LBFGS
weight = torch.ones(3, requires_grad=True)
for optimizer in (AdamW([weight], fused=True), AdamW([weight]), LBFGS([weight])):
    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss
    optimizer.step(closure)
    optimizer.load_state_dict(optimizer.state_dict())
print(sorted({name.split(".")[1] for name in sys.modules if name.startswith("torch._dynamo")}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr
