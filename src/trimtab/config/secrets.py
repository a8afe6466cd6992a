"""References to secrets: ``env:NAME`` and ``file:PATH``. What stands behind one becomes a :class:`Secret` and is told to nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trimtab.core.zones import Secret


class BadReference(Exception):
    """``message`` and ``hint`` never hold the secret, nor a text that may be one."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def resolve_secret(reference: str, env: Mapping[str, str], folder: Path) -> Secret:
    """The secret behind ``reference``; relative paths start at ``folder``. Raises :class:`BadReference`."""
    kind, _, rest = reference.partition(":")
    if kind == "env" and rest:
        value = env.get(rest, "").strip()
        if not value:
            raise BadReference(f"the environment variable {rest} is not set", f"Run: export {rest}=...")
    elif kind == "file" and rest:
        path = folder / Path(rest).expanduser()
        try:
            value = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise BadReference(f"the file {rest} cannot be read as text", "Check the path and its permissions.") from None
        if not value:
            raise BadReference(f"the file {rest} is empty", "Put the key into it, on one line.")
    else:
        raise BadReference(
            "a secret is written as a reference", 'Use "env:NAME" or "file:PATH". If the key itself stood here, replace it.'
        )
    if not value.isascii() or not value.isprintable() or " " in value:
        raise BadReference(f"what stands behind {kind}:{rest} is not a key", "A key is one line of printable ASCII without spaces.")
    return Secret(value)
