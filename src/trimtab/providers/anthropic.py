"""Anthropic Messages. A row's ``base_url`` is the bare host, ``https://api.anthropic.com``, as Anthropic's own clients have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from msgspec import Raw, Struct

from trimtab.core.catalog import Deployment
from trimtab.core.messages import Request
from trimtab.core.units import Deadline
from trimtab.providers.failures import malformed
from trimtab.providers.http import HTTPProvider

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_COUNTED = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking", "mcp_servers", "context_management"})
"""What counting takes; it refuses the fields that only matter to an answer (``max_tokens``, ``stream``, ``temperature``)."""


class _Counted(Struct):
    input_tokens: int


class AnthropicProvider(HTTPProvider):
    path: ClassVar[str] = "/v1/messages"
    headers: ClassVar[Mapping[str, str]] = {"anthropic-version": "2023-06-01"}
    may_end_unsaid: ClassVar[bool] = False  # message_stop is always said

    async def count_tokens(self, deployment: Deployment, request: Request, deadline: Deadline) -> int:
        """See :class:`~trimtab.providers.CountsTokens`."""
        fields = _FIELDS.decode(self.body(deployment, request)[0])
        body = msgspec.json.encode({name: value for name, value in fields.items() if name in _COUNTED})
        async with self._answer(deployment, f"{self.path}/count_tokens", body, request, "application/json") as reader:
            try:
                return msgspec.json.decode(await reader.whole(), type=_Counted).input_tokens
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise malformed(deployment.id, "undecodable_answer", 200, reader.upstream_id) from error
