"""Anthropic Messages. A row's ``base_url`` is the bare host, ``https://api.anthropic.com``, as Anthropic's own clients have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from trimtab.providers.http import HTTPProvider


class AnthropicProvider(HTTPProvider):
    path: ClassVar[str] = "/v1/messages"
    headers: ClassVar[Mapping[str, str]] = {"anthropic-version": "2023-06-01"}
    may_end_unsaid: ClassVar[bool] = False  # message_stop is always said
