"""Keep a worker process within bounds: memory, threads, and no life after its supervisor."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

#: One job, one core: the numeric libraries start no threads of their own.
SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
}
_PR_SET_PDEATHSIG = 1


def limit_memory(limit_mb: int) -> None:
    """Let the process allocate no more address space than this; Python then sees MemoryError."""
    limit = limit_mb * 1024 * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def forbid_core_dumps() -> None:
    """Write no core files: a crashing library would fill the disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def die_with_parent(parent_pid: int) -> None:
    """Let the kernel end this process when its parent ends, however that ends.

    Where the kernel cannot, `is_orphan` still tells.
    """
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if is_orphan(parent_pid):
        sys.exit(0)  # the parent was gone before the kernel was asked


def is_orphan(parent_pid: int) -> bool:
    """Tell whether the process that started this one is gone."""
    return os.getppid() != parent_pid
