"""The doors of batches and of their files, in both protocols. Nobody waits here for a model."""

from __future__ import annotations

from starlette.routing import Route

from trimtab.engine.batches import Desk
from trimtab.server.common.site import Site
from trimtab.server.doors.batches.files import FileContent, FileList, OneFile, Upload
from trimtab.server.doors.batches.messages import (
    CancelMessageBatch,
    CreateMessageBatch,
    MessageBatchList,
    MessageBatchResults,
    OneMessageBatch,
)
from trimtab.server.doors.batches.openai import BatchList, CancelBatch, CreateBatch, OneBatch

__all__ = ["batch_routes"]


def batch_routes(site: Site, desk: Desk) -> list[Route]:
    """Where batches are taken."""
    return [
        Route("/v1/files", Upload(site, desk), methods=["POST"]),
        Route("/v1/files", FileList(site, desk), methods=["GET"]),
        Route("/v1/files/{id}", OneFile(site, desk), methods=["GET", "DELETE"]),
        Route("/v1/files/{id}/content", FileContent(site, desk), methods=["GET"]),
        Route("/v1/batches", CreateBatch(site, desk), methods=["POST"]),
        Route("/v1/batches", BatchList(site, desk), methods=["GET"]),
        Route("/v1/batches/{id}", OneBatch(site, desk), methods=["GET"]),
        Route("/v1/batches/{id}/cancel", CancelBatch(site, desk), methods=["POST"]),
        Route("/v1/messages/batches", CreateMessageBatch(site, desk), methods=["POST"]),
        Route("/v1/messages/batches", MessageBatchList(site, desk), methods=["GET"]),
        Route("/v1/messages/batches/{id}", OneMessageBatch(site, desk), methods=["GET", "DELETE"]),
        Route("/v1/messages/batches/{id}/cancel", CancelMessageBatch(site, desk), methods=["POST"]),
        Route("/v1/messages/batches/{id}/results", MessageBatchResults(site, desk), methods=["GET"]),
    ]
