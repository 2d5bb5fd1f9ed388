"""``s4gw``: one command, a subcommand per job.

A subcommand is a module of this package, named in `COMMANDS`, with ``add_parser(subparsers)`` and
``run(arguments) -> int``; it is imported only when it is asked for or listed. Errors are one clear line on standard
error. Exit status: 0 all is well, 1 damage or a difference was found, 2 misuse, 3 the command could not run.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from s4gw.settings import SettingsError

OK: Final = 0
DAMAGE: Final = 1
MISUSE: Final = 2
FAILED: Final = 3

COMMANDS: Final = (
    "serve", "cat", "inspect", "hint", "lifecycle", "quota", "store", "sweep", "train-dict", "bench", "gpu", "version",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (without the program's name). Returns: the exit status."""
    words = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="s4gw", description="S3 endpoint that stores fewer bytes.")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    # All of them bring every library there is: 0.8 s of CPU, which storaged's chores would take again and again.
    for command in words[:1] if words and words[0] in COMMANDS else COMMANDS:
        import_module(f"s4gw.tools.{command.replace('-', '_')}").add_parser(subparsers)
    arguments = parser.parse_args(words)
    try:
        return int(arguments.run(arguments))
    except SettingsError as error:
        return _fail(str(error), MISUSE)
    except BrokenPipeError:
        # Somebody piped us into `head`: that is no error, and the interpreter must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as error:
        return _fail(f"{error.filename or ''}: {error.strerror}".lstrip(": "), FAILED)
    except Exception as error:  # the last resort of a command line: one line
        if os.environ.get("S4GW_DEBUG"):
            raise
        return _fail(f"{type(error).__name__}: {error} (S4GW_DEBUG=1 tells more)", FAILED)


def _fail(message: str, status: int) -> int:
    print(f"s4gw: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
