"""How many tokens a text has: counted for a short text, sampled for a long one.

The tokeniser is that of the shipped local model (SmolLM2's byte-pair encoding, Apache-2.0), so its count is exact there. Other families
differ by 10 to 30 % on prose: the count serves routing and estimates, never a bill.
"""

from __future__ import annotations

import base64
import functools
import gzip
from importlib import resources

import tiktoken

EXACT_BYTES = 16 * 1024
"""About 4,000 tokens of English. Up to here the whole text is tokenised."""

NAME = "SmolLM2"
_SLICES = 8
_SLICE_CHARS = 512
_CAREFUL_BYTES_PER_TOKEN = 3

# What is never merged across: llama.cpp, LLAMA_VOCAB_PRE_TYPE_SMOLLM; each digit stands alone, the rest is GPT-2's.
_PIECES = r"""\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


@functools.cache
def encoder() -> tiktoken.Encoding:
    """The tokeniser, built once, in about a tenth of a second. ``signals.warm`` does it before the server says that it is ready."""
    packed = resources.files("trimtab.signals").joinpath("data", "smollm2.tiktoken.gz").read_bytes()
    ranks = {base64.b64decode(line): rank for rank, line in enumerate(gzip.decompress(packed).split(b"\n"))}
    return tiktoken.Encoding(NAME, pat_str=_PIECES, mergeable_ranks=ranks, special_tokens={})


def count_tokens(text: str) -> tuple[int, bool]:
    """Tokens of ``text``, and whether they were counted. A long text is sampled at eight places, so that mixed languages show."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    if size <= EXACT_BYTES:
        return len(encoder().encode_ordinary(text)), True
    step = (len(text) - _SLICE_CHARS) // (_SLICES - 1)
    sample = [text[at : at + _SLICE_CHARS] for at in range(0, step * (_SLICES - 1) + 1, step)]
    sampled_bytes = sum(len(piece.encode("utf-8", "replace")) for piece in sample)
    sampled_tokens = sum(len(encoder().encode_ordinary(piece)) for piece in sample)
    return size * sampled_tokens // sampled_bytes, False


def guess_tokens(size: int) -> int:
    """From a count of bytes alone, for when a text cannot be read. On the high side for prose: a token there is about four bytes."""
    return size // _CAREFUL_BYTES_PER_TOKEN + 1
