"""The reference catalogues of this configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration_store.catalogues.references import Catalogues

if TYPE_CHECKING:
    from daemon.config import Config


def open_catalogues(config: Config) -> Catalogues:
    """Return the catalogues that images are compared with; nothing is read or asked yet."""
    settings = config.catalogues
    return Catalogues(
        config.catalogue_folder,
        online=settings.online,
        limit_s=settings.limit_s,
        vizier_hosts=settings.vizier_hosts,
    )
