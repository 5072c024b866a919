"""What a lack of memory looks like: libraries have errors of their own for it."""

from __future__ import annotations

from moola_core.errors import JobError

_SAID = (
    "can't allocate memory",  # torch, on a CPU
    "out of memory",  # torch, on a GPU
    "cannot allocate memory",  # the system
    "failed to map segment",  # the same, of a library that is loaded
    "bad_alloc",
    "failed to launch worker thread",  # pyarrow, which needs memory for it
)


def lack_of_memory(err: BaseException | None) -> str | None:
    """Return what an error, or one that it came of, says of memory that was not to be had.

    None: it is of anything else.
    """
    while err is not None:
        text = " ".join(str(err).split())
        if isinstance(err, MemoryError):
            return text or "no more to be had"
        said = text.lower()
        if not isinstance(err, JobError) and any(words in said for words in _SAID):
            return text.split("DefaultCPUAllocator: ")[-1][:200]
        err = err.__cause__ or err.__context__
    return None
