"""Keep a worker process within bounds: memory, threads, and no life after its supervisor."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

#: One job, one core: the numeric libraries start no threads of their own. And what one plane of an
#: image has used is kept for the next: asking the kernel anew each time costs a tenth of an image.
SURROUNDINGS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
}
_PR_SET_PDEATHSIG = 1


def limit_memory(limit_mb: int) -> None:
    """Let the process allocate no more address space than this; Python then sees MemoryError."""
    limit = limit_mb * 1024 * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def give_back_memory() -> None:
    """Return what lies free in the heap to the system, where the C library knows how."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


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
