"""`alfoscd redo --display`: choose the place of the object on the profile along the slit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from daemon.cli.asked import Unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from daemon.memory.records import ProductRecord
    from reducers.frame import Vector


def pick(product: ProductRecord | None, environment: Mapping[str, str] | None = None) -> float:
    """Return the image column that a person clicks on.

    Raises
    ------
    Unusable
        If there is no display or nothing to show, or the person leaves without a choice.
    """
    environment = os.environ if environment is None else environment
    if not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        raise Unusable(
            "there is no display here: read the column off the verification plot and give "
            "--center PX"
        )
    path = product.paths.get("image2d") if product is not None else None
    if path is None or not path.is_file():
        raise Unusable("there is no slit image to show yet: reduce the frame once, or --center PX")
    with fits.open(path) as hdus:
        profile = profile_along_slit(np.asarray(hdus[0].data, dtype=float))
    column = Picker(profile, path.name).ask()
    if column is None:
        raise Unusable("nothing was chosen; nothing is done")
    return column


def profile_along_slit(image: Any) -> Vector:
    """Return the median of a sky-subtracted image (rows along the dispersion) in every column."""
    rows = image.shape[0]
    profile: Vector = np.nan_to_num(np.nanmedian(image[rows // 5 : rows - rows // 5], axis=0))
    return profile


class Picker:
    """A window with the profile: a click chooses, Enter confirms, Escape or q leaves."""

    def __init__(self, profile: Vector, title: str) -> None:
        self._profile = profile
        self._title = title
        self._confirmed = False
        self.column: float | None = None

    def ask(self) -> float | None:
        """Show the window and return the choice; None when there was none."""
        try:
            import matplotlib.pyplot as plt

            plt.switch_backend("TkAgg")
        except ImportError as error:
            raise Unusable(f"no window can be opened ({error}): give --center PX") from error
        figure, axes = plt.subplots(figsize=(11, 5))
        axes.step(np.arange(self._profile.size), self._profile, where="mid")
        axes.set(xlabel="image column", ylabel="median along the dispersion", title=self._title)
        figure.text(0.01, 0.01, "click on the object, Enter takes it, Escape leaves")
        marker = axes.axvline(0, color="red", visible=False)
        figure.canvas.mpl_connect("button_press_event", lambda e: self.click(e, marker))
        figure.canvas.mpl_connect("key_press_event", lambda e: self.key(e, plt.close))
        plt.show()
        return self.column if self._confirmed else None

    def click(self, event: Any, marker: Any) -> None:
        """Take the column under the pointer."""
        if event.xdata is not None and 0 <= event.xdata <= self._profile.size - 1:
            self.column = round(float(event.xdata), 1)
            marker.set_xdata([self.column, self.column])
            marker.set_visible(True)
            event.canvas.draw_idle()

    def key(self, event: Any, close: Callable[[], None]) -> None:
        """Take Enter and Escape, and close the window with them."""
        if event.key == "enter":
            self._confirmed = self.column is not None
        elif event.key in ("escape", "q"):
            self.column = None
        else:
            return
        close()
