"""The convolution of scipy.signal, loaded when it is first used: 0.3 s of every other process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fftconvolve(
    light: NDArray[Any], kernel: NDArray[Any], *, mode: str, axes: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """Return two arrays folded with each other, as `scipy.signal.fftconvolve` does."""
    from scipy import signal

    folded: NDArray[Any] = signal.fftconvolve(light, kernel, mode=mode, axes=axes)
    return folded
