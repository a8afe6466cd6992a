"""OpenAI Chat Completions, as spoken by OpenAI and by everyone whose row says so.

A row's ``base_url`` ends with the version, ``https://api.openai.com/v1``, as OpenAI's own clients have it.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec.structs import replace

from trimtab.catalog import ProviderRow
from trimtab.core.catalog import Deployment
from trimtab.core.messages import Request
from trimtab.providers.http import HTTPProvider
from trimtab.wire import Codec, OpenAIChat


class OpenAIProvider(HTTPProvider):
    path: ClassVar[str] = "/chat/completions"
    may_end_unsaid: ClassVar[bool] = True  # not every server says [DONE]

    def codec_for(self, row: ProviderRow) -> Codec:
        return OpenAIChat(row.max_tokens_field)

    def body(self, deployment: Deployment, request: Request) -> tuple[bytes, tuple[str, ...]]:
        """A translated stream always asks for its usage, unless the row says that the upstream does not know how to tell."""
        if request.stream and not self.forwards(request):
            request = replace(request, include_usage=self._row.usage_in_stream)
        return super().body(deployment, request)
