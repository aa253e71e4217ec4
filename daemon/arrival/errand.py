"""Calls to a storage that may never answer, each on a thread of its own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class Errand(Generic[Result]):
    """One call under way; a hung mount holds its thread, never the one who asked.

    Parameters
    ----------
    call
        Runs on a thread that does not keep the process alive.
    about
        Names the errand, for the thread and for messages.
    """

    def __init__(self, call: Callable[[], Result], about: str) -> None:
        self.about = about
        self._call = call
        self._found: list[Result] = []
        self._error: OSError | None = None
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=about, daemon=True)
        self._thread.start()

    def is_back(self, wait_s: float = 0.0) -> bool:
        """Tell whether it has ended, after waiting so long for it."""
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    @property
    def age_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def result(self) -> Result:
        """Return what the call returned, when it is back.

        Raises
        ------
        OSError
            As the storage answered.
        RuntimeError
            If the call had a defect; its traceback is in the log.
        """
        if self._error is not None:
            raise self._error
        if not self._found:
            message = f"{self.about} has failed"
            raise RuntimeError(message)
        return self._found[0]

    def _run(self) -> None:
        try:
            self._found.append(self._call())
        except OSError as error:
            self._error = error
