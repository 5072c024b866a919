"""Faults between laptop and pod: the server dies, the line is reset or falls silent."""

from __future__ import annotations

import random
import time

from tests.faults.scene import Findings, Scene, reported, steady_log

NUM_LINES = 50
HOLE_S = 60.0


def server_is_killed(scene: Scene, tries: int) -> Findings:
    """``kill -9`` of the SSH server and its sessions while a run is followed; it is back later."""
    found = Findings(tries)
    # The embedded server comes back on another port, and it is its own provider that knows it.
    pod = () if scene.kind == "OpenSSH" else ("--pod", "local")
    for _ in range(tries):
        run_id = scene.begin_steady(NUM_LINES)
        with scene.client(*pod, "logs", "-f", run_id) as client:
            client.wait_for("line 0 ")
            scene.kill_server()
            client.wait_for("reconnecting")
            scene.revive_server()
            client.wait_for("connected again")
            scene.go(run_id)
            check_client(found, client.end(), client.out)
            found.saw = reported(client, run_id)
        scene.check_steady(found, run_id, NUM_LINES)
    return found


def connection_is_reset(scene: Scene, tries: int) -> Findings:
    """RST in the middle of a frame, again and again, in one following."""
    num_lines = 25_000
    found = Findings(tries)
    run_id = scene.begin_steady(num_lines)
    scene.pod.wait_for_size(run_id, len(steady_log(num_lines)) - len("end\n"))
    scene.go(run_id)
    dice = random.Random(8)
    scene.end_kept()  # so that the command makes one, which can be reset
    before = scene.line.num_resets
    # More than a greeting takes, less than the log: each falls among its frames.
    scene.line.resets = iter([dice.randrange(20_000, 60_000) for _ in range(tries)])
    with scene.client("logs", "-f", run_id) as client:
        check_client(found, client.end(), client.out, num_lines)
        found.saw = " / ".join(reported(client, run_id).split(" / ")[:4])
    found.tries = scene.line.num_resets - before
    found.expect(found.tries == tries, f"{found.tries} resets of {tries}")
    scene.check_steady(found, run_id, num_lines)
    return found


def line_falls_silent(scene: Scene, tries: int) -> Findings:
    """Nothing passes for a minute, and nobody says so; the job ends meanwhile."""
    found = Findings(tries)
    for _ in range(tries):
        run_id = scene.begin_steady(NUM_LINES)
        with scene.client("logs", "-f", run_id) as client:
            client.wait_for("line 0 ")
            scene.line.fall_silent()
            began = time.monotonic()
            scene.go(run_id)
            scene.pod.wait(run_id)
            time.sleep(HOLE_S - (time.monotonic() - began))
            scene.line.speak()
            check_client(found, client.end(), client.out)
            found.saw = reported(client, run_id)
        scene.check_steady(found, run_id, NUM_LINES)
    return found


def check_client(found: Findings, code: int, out: str, num_lines: int = NUM_LINES) -> None:
    """It ended well, and showed every line once."""
    found.expect(code == 0, f"the client ended with {code}")
    found.expect(out == steady_log(num_lines), "lines that the client showed")
