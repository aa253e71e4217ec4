"""The command `alfoscd`; a command is imported only when it is asked for."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from typing import TYPE_CHECKING

from daemon.config import ConfigError
from daemon.memory.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Command -> (module, what it does).
COMMANDS = {
    "run": ("daemon.cli.run", "watch a directory and reduce what arrives"),
    "status": ("daemon.cli.status", "show what is there, what is wrong and what to do"),
    "redo": ("daemon.cli.redo", "reduce one frame again, with a hint"),
    "reduce": ("daemon.cli.reduce", "reduce a directory once and stop"),
    "combine": ("daemon.cli.combine", "combine a target's spectra over several nights"),
    "stack": ("daemon.cli.stack", "add a target's images in one filter"),
    "findnew": ("daemon.cli.findnew", "list the sources of an image that no catalogue has"),
    "catalogues": ("daemon.cli.catalogues", "fetch reference catalogues, see what is on disc"),
    "templates": ("daemon.cli.templates", "list what is taken off images, or add to it"),
    "lightcurve": ("daemon.cli.lightcurve", "print the light curve of a watched target"),
    "alert": ("daemon.cli.alert", "new sources that were told of, and reports on them"),
    "trigger": ("daemon.cli.trigger", "notices of events: drop one, list them, listen to GCN"),
    "report": ("daemon.cli.report", "print the report of a night"),
    "ls": ("daemon.cli.ls", "list the frames of a night"),
    "show": ("daemon.cli.show", "show a frame's product: files, versions, measurements"),
    "why": ("daemon.cli.why", "explain how a frame was reduced"),
    "what-if": ("daemon.cli.what_if", "show which calibrations a frame would get"),
    "verify": ("daemon.cli.verify", "walk through a night's products and judge them"),
    "debt": ("daemon.cli.debt", "show which calibrations are owed, and what to take"),
    "trends": ("daemon.cli.trends", "show how the instrument fares from night to night"),
    "cal": ("daemon.cli.cal", "list master calibrations, ban one, or have one used"),
    "set-type": ("daemon.cli.set_type", "say what a frame is when its header is wrong"),
    "quarantine": ("daemon.cli.quarantine", "list what was given up, or try it again"),
    "outbox": ("daemon.cli.outbox", "see what leaves the machine, send again what could not"),
    "canary": ("daemon.cli.canary", "try the whole way with a set whose answer is known"),
    "simulate": ("daemon.cli.simulate", "write a simulated ALFOSC night"),
    "demo": ("daemon.cli.demo", "show everything on a small simulated night"),
    "check-config": ("daemon.cli.check_config", "check and print the configuration"),
}
#: What is wrong with a folder, not with us: it needs no traceback.
_OF_THE_PLACE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
    *(errno.ENOSPC, errno.EDQUOT),
)
#: What the shell reports for a command that SIGINT or a closed pipe ended.
_INTERRUPTED, _BROKEN_PIPE = 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    args = parser_for(given).parse_args(given)
    try:
        code = int(args.run(args))
        sys.stdout.flush()
    except (ConfigError, StoreError) as error:
        return complain(str(error))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Nobody reads any more; without this Python complains once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except OSError as error:
        if error.errno not in _OF_THE_PLACE:
            raise
        return complain(f"{error.filename or 'the disc of the products'}: {error.strerror}")
    return code


def parser_for(given: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser that knows the options of the command asked for, and all names."""
    parser = argparse.ArgumentParser(
        prog="alfoscd",
        description="Reduces ALFOSC spectra and images unattended, as the raw frames arrive.",
        epilog="See `alfoscd COMMAND --help`. First time here: `alfoscd demo`.",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    asked = next((word for word in given if not word.startswith("-")), "")
    for name, (module, summary) in COMMANDS.items():
        if name == asked:
            importlib.import_module(module).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=summary)
    return parser


def complain(sentence: str) -> int:
    """Say what is wrong on standard error; return the exit code for it."""
    print(f"alfoscd: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
