"""Whose thinking it is that a client brings back.

What signs thinking (Anthropic's ``signature``, Google's ``thoughtSignature``, the encrypted content of OpenAI's items) is opaque to all but
the provider that wrote it, and any other refuses a turn that holds it, or a thought without it. So what a client of another protocol gets
in that place is sealed here: who signed, and what, in one string. Where it comes back, the thinking goes to its signer, or nowhere.

The seal is base64, as Google's clients decode what stands there. It keeps nothing secret and proves nothing: a client may write into its
conversation what it likes.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from trimtab.core.events import ReasoningDelta
from trimtab.core.messages import Dialect, Message, Reasoning
from trimtab.wire.body import refuse

_MARK = b"trimtab1:"
"""Nine bytes: the base64 of whatever follows begins with the same twelve letters."""
_PREFIX = urlsafe_b64encode(_MARK).decode()


class _Seal(Struct, omit_defaults=True):
    signer: Dialect | None = None
    signature: str | None = None
    redacted: str | None = None


_ENCODER = msgspec.json.Encoder()
_SEAL = msgspec.json.Decoder(_Seal)


def seal(thought: Reasoning | ReasoningDelta, client: Dialect) -> str | None:
    """What a client of that protocol gets as the thinking's signature: the signature itself where it is the protocol's own."""
    if thought.signer is client:
        return thought.signature
    sealed = _ENCODER.encode(_Seal(thought.signer, thought.signature, thought.redacted))
    return urlsafe_b64encode(_MARK + sealed).decode()


def unseal(thought: Reasoning) -> Reasoning:
    """The thinking as its signer wrote it; as it is where there is no seal. A seal that cannot be read is nobody's."""
    sealed = thought.signature or thought.redacted or ""
    if not sealed.startswith(_PREFIX):
        return thought
    try:
        told = _SEAL.decode(urlsafe_b64decode(sealed)[len(_MARK) :])
    except (ValueError, msgspec.DecodeError, RecursionError):
        told = _Seal()
    return Reasoning(thought.text, told.signature, told.redacted, told.signer)


def is_for(thought: Reasoning, upstream: Dialect, *, own: bool) -> bool:
    """May the thinking go there? What its signer left unsigned, only its ``own`` clients bring back as they got it."""
    return thought.signer is upstream and (own or bool(thought.signature or thought.redacted))


def refuse_foreign_alone(messages: Sequence[Message], foreign: Sequence[str], param: str) -> None:
    """Thinking that another protocol's provider signed stays behind: ``messages``, less a prompt beside them, must hold more."""
    if foreign and all(isinstance(part, Reasoning) for message in messages for part in message.parts):
        raise refuse(param, "holds nothing but a model's thinking", "Send the conversation that it belongs to along with it.")
