"""OpenAI's files and batches and Anthropic's message batches, as an upstream keeps them: handed in, asked after, and fetched.

Sources: both API references, "Files", "Batch" and "Message Batches". The form is read by the standard library's parser of mail.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from email.parser import BytesParser
from email.policy import HTTP

import msgspec
from msgspec import Raw, Struct

from trimtab.lab.upstream.loopback import Received

Answering = Callable[[str, bytes], tuple[int, bytes]]
"""From the path and the body of one request to its status and its answer."""

_AT = "2026-01-01T00:00:00Z"


class _Line(Struct):
    custom_id: str
    method: str
    url: str
    body: Raw


class _Create(Struct):
    input_file_id: str
    endpoint: str
    completion_window: str


class _Asked(Struct):
    custom_id: str
    params: Raw


class _Requests(Struct):
    requests: list[_Asked]


class _Batch(Struct):
    endpoint: str
    lines: list[tuple[str, bytes]]
    file: str = ""
    polls: int = 0
    is_called_off: bool = False


class BatchDoors:
    """``polls`` questions after a batch are answered with "not yet". A line whose custom id is in ``passed_over`` is never answered."""

    def __init__(self) -> None:
        self.polls = 1
        self.passed_over: set[str] = set()
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, _Batch] = {}

    def handle(self, request: Received, answer: Answering) -> tuple[int, bytes] | None:
        """Status and body; ``None`` for a path of somebody else."""
        path = request.path.partition("?")[0]
        message = re.search(r"/messages/batches(?:/([^/]+)(?:/(\w+))?)?$", path)
        if message is not None:
            return self._message_batch(request, message[1], message[2], answer)
        if path.endswith("/files") and request.method == "POST":
            return 200, self._file(request)
        kept = re.search(r"/files/([^/]+)/content$", path)
        if kept is not None:
            return (200, self.files[kept[1]]) if kept[1] in self.files else (404, b"{}")
        batch = re.search(r"/batches(?:/([^/]+)(?:/(\w+))?)?$", path)
        return None if batch is None else self._batch(request, batch[1], batch[2], answer)

    def _file(self, request: Received) -> bytes:
        head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
        form = BytesParser(policy=HTTP).parsebytes(head + request.body)
        parts = {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in form.iter_parts()}
        if parts.get("purpose") != b"batch":
            raise msgspec.ValidationError("purpose is not batch")
        id, content = f"file-lab{len(self.files)}", parts["file"]
        assert isinstance(content, bytes)
        self.files[id] = content
        return msgspec.json.encode({"id": id, "object": "file", "bytes": len(content), "purpose": "batch"})

    def _batch(self, request: Received, id: str | None, verb: str | None, answer: Answering) -> tuple[int, bytes]:
        if id is None:
            wanted = msgspec.json.decode(request.body, type=_Create)
            lines = [msgspec.json.decode(row, type=_Line) for row in self.files[wanted.input_file_id].splitlines()]
            if any(line.url != wanted.endpoint or line.method != "POST" for line in lines):
                return 400, b'{"error":{"message":"A line is for another endpoint.","type":"invalid_request_error"}}'
            id = f"batch_lab{len(self.batches)}"
            rows = [(line.custom_id, bytes(line.body)) for line in lines]
            self.batches[id] = _Batch(wanted.endpoint, rows, wanted.input_file_id)
        batch = self.batches[id]
        if verb == "cancel":
            batch.is_called_off = True
        elif verb is not None:
            return 404, b"{}"
        ended = self._has_ended(batch)
        told = {"id": id, "object": "batch", "endpoint": batch.endpoint, "completion_window": "24h", "created_at": 1}
        told |= {
            "input_file_id": batch.file,
            "status": "cancelled" if batch.is_called_off else "completed" if ended else "in_progress",
        }
        if ended:
            told |= {"output_file_id": f"{id}-out", "error_file_id": f"{id}-err"}
            self._results(id, batch, answer)
        return 200, msgspec.json.encode(told)

    def _has_ended(self, batch: _Batch) -> bool:
        batch.polls += 1
        return batch.is_called_off or batch.polls > self.polls + 1

    def _results(self, id: str, batch: _Batch, answer: Answering) -> None:
        if f"{id}-out" in self.files:
            return
        good: list[bytes] = []
        bad: list[bytes] = []
        for custom_id, body in batch.lines:
            if custom_id in self.passed_over or batch.is_called_off:
                error = {"code": "batch_expired", "message": "This request could not be executed."}
                bad.append(_row({"id": "r", "custom_id": custom_id, "response": None, "error": error}))
                continue
            status, said = answer(batch.endpoint, body)
            response = {"status_code": status, "request_id": "lab", "body": Raw(said)}
            row = _row({"id": "r", "custom_id": custom_id, "response": response, "error": None})
            (good if status < 300 else bad).append(row)
        self.files[f"{id}-out"], self.files[f"{id}-err"] = b"".join(good), b"".join(bad)

    def _message_batch(self, request: Received, id: str | None, verb: str | None, answer: Answering) -> tuple[int, bytes]:
        if id is None:
            asked = msgspec.json.decode(request.body, type=_Requests).requests
            id = f"msgbatch_lab{len(self.batches)}"
            self.batches[id] = _Batch("/v1/messages", [(one.custom_id, bytes(one.params)) for one in asked])
        batch = self.batches[id]
        if verb == "results":
            return 200, b"".join(self._message_row(batch, custom_id, body, answer) for custom_id, body in batch.lines)
        if verb == "cancel":
            batch.is_called_off = True
        ended = self._has_ended(batch)
        counts = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        told: dict[str, object] = {
            "id": id,
            "type": "message_batch",
            "request_counts": counts,
            "created_at": _AT,
            "expires_at": _AT,
        }
        told |= {"processing_status": "ended" if ended else "in_progress", "results_url": f"/v1/messages/batches/{id}/results"}
        return 200, msgspec.json.encode(told)

    def _message_row(self, batch: _Batch, custom_id: str, body: bytes, answer: Answering) -> bytes:
        if custom_id in self.passed_over or batch.is_called_off:
            return _row({"custom_id": custom_id, "result": {"type": "canceled" if batch.is_called_off else "expired"}})
        status, said = answer(batch.endpoint, body)
        if status < 300:
            return _row({"custom_id": custom_id, "result": {"type": "succeeded", "message": Raw(said)}})
        return _row({"custom_id": custom_id, "result": {"type": "errored", "error": Raw(said)}})


def _row(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"
