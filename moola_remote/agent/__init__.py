"""The program that runs on a pod: Python 3.8 or newer, standard library alone.

It is sent as one ``.pyz`` (moola_remote/agent_client/program.py) and never imported from outside.

The contract is docs/protocol.md. Three processes stand behind a run; no single death loses it:

    supervisor   queues, starts, watches, cancels, measures; the only writer of ``state.json``
    keeper       the job's parent; does nothing but wait, and record how the job ended
    job          in a session of its own

Supervisor killed: the keeper still records the end; the next call of this file starts a new
supervisor. Keeper killed: the job becomes the supervisor's child (subreaper), which then learns
its exit code. Both killed: the job lives on and is watched, but its exit code can't be known: LOST.

What is ours alone in a run's folder begins with a dot:

    .lock            flock, held by the supervisor as long as it lives
    .job.lock        flock, held by the keeper as long as it lives
    .job.json        which process is the job; written before its program runs: no file, never ran
    .exit.json       how the job ended
    .cancel.json     the wish to cancel
    .secrets.json    the values of the run's secrets, until it has ended
    .times           "time size" a line: how long the log was, once a second while it grows
    .reserve         space given back when the disk is full, so that an end can still be recorded
    .supervisor.log  what the supervisor and ``on_finish`` print

Durations come from monotonic clocks; the times of day in the files are for people.
"""
