"""Writes the tokeniser's vocabulary out of the shipped local model's GGUF file: ``python -m tools.generate_vocabulary FILE.gguf``.

The model's own vocabulary (SmolLM2-135M-Instruct, Apache-2.0), in tiktoken's form: one base64 token a line, in order of rank.
"""

from __future__ import annotations

import base64
import gzip
import sys
from pathlib import Path

from gguf import GGUFReader

TARGET = Path(__file__).parents[1] / "src" / "trimtab" / "signals" / "data" / "smollm2.tiktoken.gz"
_NORMAL = 1


def byte_of_character() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes, backwards (openai/gpt-2, ``encoder.py``)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


def vocabulary(path: Path) -> list[bytes]:
    """Tokens in order of rank. Control tokens are left out: text that looks like one is counted as the text it is."""
    fields = GGUFReader(path).fields
    kinds = [int(fields["tokenizer.ggml.token_type"].parts[at][0]) for at in fields["tokenizer.ggml.token_type"].data]
    tokens = [bytes(fields["tokenizer.ggml.tokens"].parts[at]).decode() for at in fields["tokenizer.ggml.tokens"].data]
    byte_of = byte_of_character()
    found = [bytes(byte_of[character] for character in token) for token, kind in zip(tokens, kinds, strict=True) if kind == _NORMAL]
    # Bytes that UTF-8 never uses are not in the vocabulary; the encoder wants every byte to be a token.
    return found + [bytes([byte]) for byte in range(256) if bytes([byte]) not in set(found)]


def main() -> None:
    lines = b"\n".join(base64.b64encode(token) for token in vocabulary(Path(sys.argv[1])))
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(gzip.compress(lines, 9, mtime=0))


if __name__ == "__main__":
    main()
