"""Every error that Brushcast raises on purpose.

    BrushcastError                  base; its message is one line: what was wrong, and what would be right
    ├── InputError (ValueError)         a file, picture, frame or number that cannot be used
    │   ├── StyleError                      a style file or picture; an unknown style name
    │   └── BundleError                     a model bundle: missing, corrupt, another version
    ├── EngineError (RuntimeError)      an engine or execution provider that is unknown, missing or failed
    ├── SourceError (OSError)           a camera, file or stream that cannot be opened or was lost
    └── SinkError (OSError)             a window, file or device that cannot be written

A command prints the message and exits with `exit_code`. Anything else that escapes is a bug and shows its traceback.
Errors of the libraries below are turned into one of these at the border where they arise (`raise ... from error`).
"""


class BrushcastError(Exception):
    """Base of all errors raised on purpose. The message is one line for the user."""

    exit_code = 2


class InputError(BrushcastError, ValueError):
    """A file, picture, frame or number that cannot be used."""


class StyleError(InputError):
    """A style file or style picture that cannot be used, or a style name that is not known."""


class BundleError(InputError):
    """A model bundle that is missing, corrupt or of another version."""


class EngineError(BrushcastError, RuntimeError):
    """An engine or execution provider that is unknown, not installed, or failed."""


class SourceError(BrushcastError, OSError):
    """A camera, file or stream that cannot be opened or was lost."""


class SinkError(BrushcastError, OSError):
    """A window, file or device that cannot be written."""


def first_line(error: object) -> str:
    """What an error of a library says, without its stack: one line, of 300 letters at most."""
    return str(error).strip().partition("\n")[0][:300]
