"""Errors a user can act on: one clear message, no traceback on the command line."""


class UserError(Exception):
    """Something the user gave cannot be used; the message says what, where and what to do."""

    exit_code = 1


class ConfigError(UserError):
    """A config file or an override is wrong; names the file, line, key, value and what was expected."""

    exit_code = 2


class DataError(UserError):
    """A data file cannot be used; names the file and the cause."""


class CheckpointError(UserError):
    """A checkpoint cannot be used; names the file and the cause."""


def brief(cause: object) -> str:
    """Returns the text of an error in one short line without control characters."""
    text = " ".join(str(cause).split())
    return "".join(sign if sign.isprintable() else "?" for sign in text)[:200]
