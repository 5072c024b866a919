"""What the double rents out, where it has room, and what it bills."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

GPU = "NVIDIA GeForce RTX 4090"
NO_CAPACITY = (
    "There are no longer any instances available with the requested specifications. "
    "Please refresh and try again."
)
NO_GPU_ON_HOST = "There are not enough free GPUs on the host machine to start this pod."
LEVELS = ("HIGH", "MEDIUM", "LOW")
Refusal = tuple[int, str]


def refusal_of(
    body: Mapping[str, Any], gpus: Sequence[str], stock: Mapping[str, str]
) -> Refusal | None:
    """Return why a pod can't be made as `body` asks, or None."""
    if "persistent" in body.get("mounts", {}) and "network" in body["mounts"]:
        return 400, "request could not be processed"
    if {"minCudaVersion", "allowedCudaVersions"} <= set(body["gpu"]):
        return 400, "request could not be processed"
    wanted = body.get("dataCenterIds")
    has_stock = any(
        level != "NONE" for place, level in stock.items() if not wanted or place in wanted
    )
    is_known = body["gpu"]["id"] in gpus
    return None if has_stock and is_known else (400, NO_CAPACITY)


def gpu_type(gpu: str, prices: Mapping[str, float]) -> dict[str, Any]:
    """A type of GPU as the list has it."""
    return {
        "id": gpu,
        "name": gpu.rpartition("GeForce ")[2],
        "pool": "ADA_24",
        "manufacturer": "NVIDIA",
        "memory": 24,
        "secure": True,
        "community": True,
        "price": {
            "secure": prices["SECURE"],
            "community": prices["COMMUNITY"],
            "serverless": 1.1,
        },
        "maxCount": {"secure": 8, "community": 4},
    }


def availability(stock: Mapping[str, str]) -> dict[str, Any]:
    """Where a type of GPU is to be had: what its own page adds to the list's row."""
    levels = [level for level in LEVELS if level in stock.values()]
    there = [
        {"id": place, "name": place, "availability": level}
        for place, level in stock.items()
        if level != "NONE"
    ]
    summary = {"availability": levels[0] if levels else "NONE"}
    return {**summary, **({"dataCenters": there} if there else {})}


def bills(pods: Iterable[str], before: Mapping[str, float], wanted: str | None) -> dict[str, Any]:
    """What a day has cost: 1.5 USD each pod, or each `wanted`, and `before` for pods that ended."""
    amounts = {"totalAmount": 1.5, "gpuAmount": 1.48, "cpuAmount": 0.0, "diskAmount": 0.02}
    span = {"startTime": "2026-11-22T00:00:00Z", "endTime": "2026-11-23T00:00:00Z"}
    totals = {pod_id: 1.5 for pod_id in pods if wanted in (None, pod_id)}
    records = [
        {**span, "podId": pod_id, **amounts, "totalAmount": total}
        for pod_id, total in {**totals, **before}.items()
    ]
    count = {"recordCount": len(records), "uniquePodCount": len(records)}
    return {"records": records, "metadata": {"query": span, **count, "totals": amounts}}
