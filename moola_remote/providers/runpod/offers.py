"""Which requests to try, in which order, and why others are not even tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moola_remote.providers.runpod.answers import RefusedError

if TYPE_CHECKING:
    from moola_remote.config.settings import RunpodConfig
    from moola_remote.providers.runpod.client import Cloud, RunpodClient
    from moola_remote.providers.runpod.models import GpuType
_LEVELS = {"HIGH": 0, "MEDIUM": 1, "LOW": 2}


@dataclass(frozen=True)
class Offer:
    """One GPU type on one cloud in one data centre (None: any); `price` is USD an hour."""

    gpu: str
    cloud: Cloud
    data_center: str | None
    price: float

    def __str__(self) -> str:
        where = self.data_center or "any data centre"
        return f"{self.gpu}, {self.cloud}, {where}, ${self.price:.2f}/h"


@dataclass(frozen=True)
class Offers:
    """What to try, the best first; why others are not tried; each GPU's price on both clouds."""

    offers: list[Offer]
    refusals: list[str]
    prices: list[str]


def find_offers(client: RunpodClient, wanted: RunpodConfig) -> Offers:
    """Ask the catalog; its stock is a hint, so only the price and the count refuse.

    One candidate is one request: the API takes one GPU type, one cloud, and enforces the data
    centres that it calls preferred.
    """
    offers: list[Offer] = []
    refusals: list[str] = []
    prices: dict[str, str] = {}
    for gpu in wanted.gpus:
        for cloud in wanted.clouds:
            try:
                listed = client.gpu_type(gpu, cloud, count=wanted.gpu_count, min_cuda=wanted.cuda)
            except RefusedError as err:
                refusals.append(f"{gpu}, {cloud}: {err.message}")
                continue
            prices[gpu] = (
                f"{gpu}: SECURE ${listed.price.secure:.2f}/h, "
                f"COMMUNITY ${listed.price.community:.2f}/h; max_price ${wanted.max_price:.2f}"
            )
            price = wanted.gpu_count * _of(listed.price, cloud)
            why = _refusal(listed, cloud, price, wanted)
            if why:
                refusals.append(f"{gpu}, {cloud}: {why}")
            else:
                offers += [Offer(gpu, cloud, place, price) for place in _places(listed, wanted)]
    return Offers(offers, refusals, list(prices.values()))


def _of(pair: Any, cloud: Cloud) -> Any:
    return pair.secure if cloud == "SECURE" else pair.community


def _refusal(listed: GpuType, cloud: Cloud, price: float, wanted: RunpodConfig) -> str | None:
    if not (listed.secure if cloud == "SECURE" else listed.community) or price == 0:
        return "not on this cloud"
    if wanted.global_networking and cloud != "SECURE":
        return "has no network between pods"
    if price > wanted.max_price:
        return f"${price:.2f}/h is above max_price ${wanted.max_price:.2f}"
    most = _of(listed.max_count, cloud)
    if wanted.gpu_count > most:
        return f"a pod has {most} at most, gpu_count is {wanted.gpu_count}"
    return None


def _places(listed: GpuType, wanted: RunpodConfig) -> Iterator[str | None]:
    """Yield data centres, the best stocked first; last of all any, if the file names none."""
    stocked = sorted(
        (stock for stock in listed.data_centers if stock.availability in _LEVELS),
        key=lambda stock: (_LEVELS[stock.availability], stock.id),
    )
    names = [stock.id for stock in stocked]
    if wanted.data_centers:
        yield from sorted(
            wanted.data_centers, key=lambda name: names.index(name) if name in names else len(names)
        )
        return
    yield from names
    yield None
