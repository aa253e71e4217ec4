"""Tokens and passwords: never in a file of settings, never in the database, never in a log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def credential(name: str, environment: Mapping[str, str] | None = None) -> str:
    """Return a secret by name; '' when nobody gave it.

    It is the file of this name that systemd hands over (`LoadCredential=slack-token:/etc/...`),
    or else the variable `ALFOSCD_SLACK_TOKEN`.
    """
    given = os.environ if environment is None else environment
    folder = given.get("CREDENTIALS_DIRECTORY", "")
    if folder and (file := Path(folder) / name).is_file():
        return file.read_text(encoding="utf-8").strip()
    return given.get(variable_of(name), "").strip()


def variable_of(name: str) -> str:
    """Return the environment variable that may carry a secret."""
    return "ALFOSCD_" + "".join(c if c.isalnum() else "_" for c in name.upper())


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that opens files from outside and sends nothing."""
    names = tuple(map(variable_of, ("slack-", "smtp-", "webhook-", "tns-", "skyportal-")))
    return {
        name: value
        for name, value in environment.items()
        if name != "CREDENTIALS_DIRECTORY" and not name.startswith(names)
    }
