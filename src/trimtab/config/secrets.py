"""References to secrets, ``env:NAME`` and ``file:PATH``, and the credentials that are made of them.

What stands behind a reference becomes a :class:`Secret` and is told to nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trimtab.config.file import CredentialTable
from trimtab.config.model import ApiKey, AWSCredential, Credential, EntraCredential, GoogleCredential
from trimtab.core.zones import Secret


class BadReference(Exception):
    """``message`` and ``hint`` never hold the secret, nor a text that may be one."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def resolve_secret(reference: str, env: Mapping[str, str], folder: Path, *, spaces: bool = False) -> Secret:
    """The secret behind ``reference``; relative paths start at ``folder``. Raises :class:`BadReference`.

    ``spaces`` may be in a header's whole value, such as ``Bearer ...``, and in no key.
    """
    text = _text(reference, env, folder)
    if not text.isascii() or not text.isprintable() or (" " in text and not spaces):
        raise BadReference(f"what stands behind {reference} is not a key", "A key is one line of printable ASCII without spaces.")
    return Secret(text)


def _text(reference: str, env: Mapping[str, str], folder: Path) -> str:
    """What stands behind ``reference``, without the white space around it."""
    kind, _, rest = reference.partition(":")
    if kind == "env" and rest:
        text = env.get(rest, "").strip()
        if not text:
            raise BadReference(f"the environment variable {rest} is not set", f"Run: export {rest}=...")
    elif kind == "file" and rest:
        path = folder / Path(rest).expanduser()
        try:
            text = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise BadReference(f"the file {rest} cannot be read as text", "Check the path and its permissions.") from None
        if not text:
            raise BadReference(f"the file {rest} is empty", "Put the key into it, on one line.")
    else:
        raise BadReference(
            "a secret is written as a reference", 'Use "env:NAME" or "file:PATH". If the key itself stood here, replace it.'
        )
    return text


class Wallet:
    """Makes credentials of what was written. ``region`` is the deployment's, for a key that names none of its own."""

    def __init__(self, env: Mapping[str, str], folder: Path, region: str | None) -> None:
        self._env = env
        self._folder = folder
        self._region = region

    def key(self, reference: str) -> ApiKey:
        return ApiKey(resolve_secret(reference, self._env, self._folder))

    def credential(self, written: CredentialTable) -> Credential:
        """Raises :class:`BadReference`; each message names what is missing."""
        given = {name.partition("_")[0] for name in written.__struct_fields__ if getattr(written, name) is not None}
        match sorted(given):
            case ["api"]:
                return self.key(written.api_key or "")
            case ["aws"]:
                return AWSCredential(
                    access_key_id=self._secret(written.aws_access_key_id, "aws_access_key_id"),
                    secret_access_key=self._secret(written.aws_secret_access_key, "aws_secret_access_key"),
                    session_token=None if written.aws_session_token is None else self._secret(written.aws_session_token, ""),
                    region=self._plain(written.aws_region or self._region, "aws_region"),
                )
            case ["entra"]:
                return EntraCredential(
                    tenant=self._plain(written.entra_tenant, "entra_tenant"),
                    client_id=self._plain(written.entra_client_id, "entra_client_id"),
                    client_secret=self._secret(written.entra_client_secret, "entra_client_secret"),
                )
            case ["google"]:
                return GoogleCredential(Secret(_text(written.google_service_account or "", self._env, self._folder)))
            case _:
                raise BadReference(
                    "a credential is of one kind",
                    "Give api_key, or the aws_ keys, or the entra_ keys, or google_service_account; one table each.",
                )

    def _secret(self, reference: str | None, name: str) -> Secret:
        if reference is None:
            raise BadReference(f"{name} is missing", f'Add {name} = "env:..." to the credential.')
        return resolve_secret(reference, self._env, self._folder)

    def _plain(self, text: str | None, name: str) -> str:
        """What is no secret: as it stands, or behind a reference."""
        if text is None:
            raise BadReference(f"{name} is missing", f"Add {name} to the credential.")
        return self._secret(text, name).reveal() if text.startswith(("env:", "file:")) else text
