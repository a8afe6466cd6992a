"""Replicate's predictions as an upstream gives them: ``POST /models/OWNER/NAME/predictions``, waited for.

Source: the public guide, "Create a prediction", and its description of a prediction.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct

from trimtab.core.messages import Dialect
from trimtab.lab.upstream.answers import Answer, Piece, body
from trimtab.lab.upstream.loopback import Received
from trimtab.lab.upstream.obliging import Asked

_DOOR = re.compile(r"/models/([^/]+/[^/]+)/predictions$")


class Input(Struct):
    prompt: str


class PredictionRequest(Struct):
    """``model`` is the path's, ``waits`` the header's: who does not wait gets a prediction that has only begun."""

    input: Input
    model: str = ""
    waits: bool = False

    dialect = Dialect.REPLICATE
    content_type = "application/json"
    stream = False
    asked = Asked()

    def pieces(self, answer: Answer, id: str, *, usage: bool) -> list[Piece]:
        whole: dict[str, object] = {
            "id": id,
            "model": self.model,
            "input": {"prompt": self.input.prompt},
            "error": None,
            "logs": "",
        }
        if not self.waits:
            return body(msgspec.json.encode(whole | {"status": "starting", "output": None}))
        metrics: dict[str, object] = {"predict_time": 0.01}
        if usage:
            metrics |= {"input_token_count": answer.input_tokens, "output_token_count": answer.output_tokens}
        return body(msgspec.json.encode(whole | {"status": "succeeded", "output": list(answer.text), "metrics": metrics}))


def prediction_at(received: Received) -> PredictionRequest | None:
    """``None`` for the path of another door. Raises :class:`msgspec.DecodeError` for a body that is none of it."""
    door = _DOOR.search(received.path.partition("?")[0])
    if door is None:
        return None
    request = msgspec.json.decode(received.body, type=PredictionRequest)
    return msgspec.structs.replace(request, model=door[1], waits=received.headers.get("prefer", "").startswith("wait"))
