"""Every way the memory can fail, as one small tree.

StoreError
├── StorePaused
├── StoreCorrupt
│   └── StoreForeign
├── StoreExchanged
├── NoDatabase
├── SchemaTooNew
└── SchemaTooOld
"""

from __future__ import annotations


class StoreError(Exception):
    """The database cannot be used."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class StorePaused(StoreError):
    """The database cannot be written for now (disk full, read-only or locked); nothing is lost."""


class StoreCorrupt(StoreError):
    """The database file is damaged."""


class StoreForeign(StoreCorrupt):
    """The file is a database of something else: name another one in [paths] database."""


class StoreExchanged(StoreError):
    """The database file was moved, replaced or deleted while it was in use: start again."""


class NoDatabase(StoreError):
    """There is no database yet."""


class SchemaTooNew(StoreError):
    """The database was written by a newer version."""


class SchemaTooOld(StoreError):
    """The database was written by an older version and has not been migrated yet."""
