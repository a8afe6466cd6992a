"""Replicate's predictions: a whole text for one prompt. The upstream's side only."""

from trimtab.wire.replicate.codec import Replicate

__all__ = ["Replicate"]
