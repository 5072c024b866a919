"""The pods of the double: when they are up, what machine they are, how the API describes them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.support.runpod_double.answers import timestamp

IMAGE = "runpod/pytorch:1.2.0-cu1281-torch291-ubuntu2404"


@dataclass(frozen=True)
class Times:
    """Seconds since a start after which the next thing is reported."""

    running: float = 0.0
    address: float = 0.0
    sshd: float = 0.0
    runtime: float = 0.0
    fresh_port: float = 0.0


class Machine(Protocol):
    """The SSH server of a pod."""

    def start(self, env: dict[str, str], /) -> tuple[int, str]:
        """A new server with a new host key; its port and its host key's fingerprint."""

    def stop(self) -> None:
        """End it, and what it started."""


class NoMachine:
    """A pod that nobody logs in to."""

    def start(self, _: dict[str, str]) -> tuple[int, str]:
        """A port where nobody listens."""
        return 1, f"SHA256:{'A' * 43}"

    def stop(self) -> None:
        """Nothing to end."""


@dataclass
class FakePod:
    """One pod; `body` is the request that made it."""

    id: str
    body: dict[str, Any]
    machine: Machine
    price: float
    status: str = "RUNNING"
    created_at: float = field(default_factory=time.time)
    started: float = field(default_factory=time.monotonic)
    started_at: float = field(default_factory=time.time)
    starts: int = 1
    hidden_for: int = 0
    port: int | None = None
    old_port: int | None = None
    fingerprint: str = ""
    container_log: list[str] = field(default_factory=list)
    system_log: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The key that is found inside the pod; it opens this pod alone."""
        return f"pod_{self.id}"

    def boot(self, now: float, more_log: list[str], *, prints_host_keys: bool) -> None:
        """Start its machine, at `now` by the account's clock; `more_log` is what it logs beside."""
        env = {**self.body.get("env", {}), "RUNPOD_POD_ID": self.id, "RUNPOD_API_KEY": self.key}
        self.status, self.started, self.started_at = "RUNNING", time.monotonic(), now
        self.old_port = self.port
        self.port, self.fingerprint = self.machine.start(env)
        begin = f"start container for {IMAGE}: begin"
        self.system_log += ["ab6fdd207dfd Extracting [====>]", begin, *more_log]
        self.container_log += ["Pod Started"]
        if prints_host_keys:
            rsa = f"SHA256:{'R' * 43}"
            self.container_log += [
                *("RSA key fingerprint:", f"3072 {rsa} root@x (RSA)"),
                *("SSH host keys:", "Key: /etc/ssh/ssh_host_ed25519_key.pub"),
                f"256 {self.fingerprint} root@a1b2c3 (ED25519)",
            ]


def actions(pod: FakePod) -> list[str]:
    """What may be asked of a pod as it stands."""
    return ["stop", "restart", "terminate"] if pod.status == "RUNNING" else ["start", "terminate"]


def machine_user(pod: FakePod) -> str:
    """Who logs in."""
    return getattr(pod.machine, "user", "root")


def networking(pod: FakePod, *, is_placed: bool) -> dict[str, Any]:
    """The network between pods; here each has an address of the loopback."""
    if not pod.body.get("globalNetworking"):
        return {"enabled": False}
    number = int(pod.id.lstrip("pod")) + 9
    address = {"ip": f"127.0.5.{number}", "internalDns": f"{pod.id}.runpod.internal"}
    return {"enabled": True, **(address if is_placed else {})}


def described(pod: FakePod, times: Times, gauge: int) -> dict[str, Any]:
    """A pod as the API describes it now; `gauge` is its GPU use in per cent."""
    age, body = time.monotonic() - pod.started, pod.body
    is_up = pod.status == "RUNNING"
    is_placed = is_up and age >= times.running
    port = pod.port
    if pod.starts > 1 and age < times.fresh_port:
        port = pod.old_port
    elif age < times.sshd:
        port = 1  # mapped, but nobody listens yet
    has_address = is_placed and age >= times.address and "22/tcp" in body.get("ports", [])
    direct = {"host": "127.0.0.1", "port": port, "username": machine_user(pod)}
    gauges = {
        "cpu": {"util": 3},
        "gpus": [{"memoryUtil": 0, "util": gauge}],
        "memory": {"util": 4},
        "uptime": int(age),
        "ports": [{"ip": "127.0.0.1", "private": 22, "public": port, "type": "tcp"}],
    }
    return {
        "id": pod.id,
        "name": body["name"],
        "image": body["image"],
        "args": "",
        "disk": body.get("disk", 20),
        "ports": body.get("ports", []),
        "env": body.get("env", {}),
        "registry": None,
        "status": pod.status if is_placed or not is_up else "PROVISIONING",
        "actions": actions(pod),
        "mounts": body.get("mounts", {}),
        "gpu": {**body["gpu"], "vcpuCount": 16, "memory": 62},
        "cloud": body.get("cloud", "SECURE"),
        "dataCenterId": (body.get("dataCenterIds") or ["EU-RO-1"])[0] if is_placed else None,
        "cudaVersion": "12.8" if is_placed else None,
        "ssh": {
            "proxy": None,
            "direct": {**direct, "command": f"ssh root@127.0.0.1 -p {port}"}
            if has_address
            else None,
        },
        "template": None,
        "cost": pod.price if is_up else 0.0,
        "locked": False,
        "globalNetworking": networking(pod, is_placed=is_placed),
        "runtime": gauges if is_up and age >= times.runtime else None,
        "createdAt": timestamp(pod.created_at),
        "startedAt": timestamp(pod.started_at) if is_placed else None,
    }
