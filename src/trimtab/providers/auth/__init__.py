"""Credentials that are made for each request or live for a while: AWS signatures, and tokens of Microsoft Entra and of Google.

Each is a :class:`~trimtab.net.Signer`. None opens a socket: what must be asked for is asked through a ``Post`` that stands on the egress
check. Google's loads a library for signing tokens, which takes 9 MiB, when the first service account is read.
"""

from trimtab.providers.auth.entra import EntraGrant
from trimtab.providers.auth.sigv4 import AWSKey, SigV4Signer, sign
from trimtab.providers.auth.tokens import Grant, Post, TokenSigner

__all__ = ["AWSKey", "EntraGrant", "Grant", "Post", "SigV4Signer", "TokenSigner", "sign"]
