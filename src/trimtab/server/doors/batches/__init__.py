"""The doors of batches and of their files, in both protocols. Nobody waits here for a model."""

from __future__ import annotations

from starlette.routing import Route

from trimtab.engine.batches import Desk
from trimtab.server.doors.batches.files import FileContent, FileList, OneFile, Upload
from trimtab.server.doors.batches.messages import (
    CancelMessageBatch,
    CreateMessageBatch,
    MessageBatchList,
    MessageBatchResults,
    OneMessageBatch,
)
from trimtab.server.doors.batches.openai import BatchList, CancelBatch, CreateBatch, OneBatch
from trimtab.server.doors.door import House

__all__ = ["batch_routes"]


def batch_routes(house: House, desk: Desk) -> list[Route]:
    """Where batches are taken."""
    return [
        Route("/v1/files", Upload(house, desk), methods=["POST"]),
        Route("/v1/files", FileList(house, desk), methods=["GET"]),
        Route("/v1/files/{id}", OneFile(house, desk), methods=["GET", "DELETE"]),
        Route("/v1/files/{id}/content", FileContent(house, desk), methods=["GET"]),
        Route("/v1/batches", CreateBatch(house, desk), methods=["POST"]),
        Route("/v1/batches", BatchList(house, desk), methods=["GET"]),
        Route("/v1/batches/{id}", OneBatch(house, desk), methods=["GET"]),
        Route("/v1/batches/{id}/cancel", CancelBatch(house, desk), methods=["POST"]),
        Route("/v1/messages/batches", CreateMessageBatch(house, desk), methods=["POST"]),
        Route("/v1/messages/batches", MessageBatchList(house, desk), methods=["GET"]),
        Route("/v1/messages/batches/{id}", OneMessageBatch(house, desk), methods=["GET", "DELETE"]),
        Route("/v1/messages/batches/{id}/cancel", CancelMessageBatch(house, desk), methods=["POST"]),
        Route("/v1/messages/batches/{id}/results", MessageBatchResults(house, desk), methods=["GET"]),
    ]
