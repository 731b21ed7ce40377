"""The errors a user can cause, each with the exit code the command line ends with."""

from __future__ import annotations

import errno
import sqlite3

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class UserError(Exception):
    """A mistake of the user's: printed as one clear message, never as a traceback.

    The message says what was got, what is allowed and what to do.
    """

    exit_code = 2


class ConfigError(UserError):
    """A config that cannot be composed or built; names the config key or yaml."""


class UnreadyError(ConfigError):
    """A model that cannot be called (no key, no proper address): a sweep sends nothing at all."""


class DataError(UserError):
    """A data file that cannot be read; names the file, the row and the column."""


class ClaimError(UserError):
    """A claim that the numbers do not carry (gate, drift, looks used up)."""

    exit_code = 1


class Stopped(UserError):
    """The user's signal ended the work; what is on disk is whole."""

    def __init__(self, signal: int) -> None:
        super().__init__("interrupted")
        self.exit_code = 128 + signal


class IncompleteError(UserError):
    """Work that stopped half-way; the message holds the command that resumes it."""

    exit_code = 3


def is_full(error: BaseException) -> bool:
    """Whether a disk, a quota or a file has no space for more: nobody's mistake, and it passes."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in NO_SPACE
