"""What an upstream does beside the chats of OpenAI and Anthropic: Cohere's and Google's, embeddings, images, batches and more."""

from trimtab.lab.upstream.operations.asking import Asking, asked_at
from trimtab.lab.upstream.operations.batches import BatchDoors
from trimtab.lab.upstream.operations.embeddings import vector_of

__all__ = ["Asking", "BatchDoors", "asked_at", "vector_of"]
