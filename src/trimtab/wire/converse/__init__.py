"""Amazon Bedrock's Converse, the upstream's side only: nobody speaks it to us."""

from trimtab.wire.converse.codec import Converse

__all__ = ["Converse"]
