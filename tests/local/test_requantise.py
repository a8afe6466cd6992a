from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from tests.local.made import add_rare_arrays, made_gguf, sha256

from trimtab.local.header import Q4_1, Q8_0, read_header
from trimtab.local.requantise import requantise


def _metadata(reader: gguf.GGUFReader) -> dict[str, tuple[Any, Any]]:
    """Every key with its type and value, arrays too; the file type aside, which says how the tensors are packed."""
    return {name: (field.types, field.contents()) for name, field in reader.fields.items() if name != "general.file_type"}


def _hold_together(source: Path, copy: Path) -> None:
    before, after = gguf.GGUFReader(source), gguf.GGUFReader(copy)
    assert _metadata(before) == _metadata(after)
    assert after.fields["general.file_type"].contents() == gguf.LlamaFileType.MOSTLY_Q8_0
    assert [(tensor.name, tensor.shape.tolist()) for tensor in before.tensors] == [
        (tensor.name, tensor.shape.tolist()) for tensor in after.tensors
    ]
    for old, new in zip(before.tensors, after.tensors, strict=True):
        if old.tensor_type != Kind.Q4_1:
            assert (old.tensor_type, old.data.tobytes()) == (new.tensor_type, new.data.tobytes())
            continue
        assert new.tensor_type == Kind.Q8_0
        wanted = gguf.quants.dequantize(old.data, old.tensor_type).reshape(-1, 32)
        got = gguf.quants.dequantize(new.data, new.tensor_type).reshape(-1, 32)
        step = np.abs(wanted).max(axis=1, keepdims=True) / 127
        assert (np.abs(wanted - got) <= 0.6 * step + 1e-6).all()  # half a step, and the scale's own rounding to 16 bits


@pytest.mark.parametrize("rows", [8, 4096 + 8], ids=["one piece", "two pieces"])
def test_metadata_survives_and_numbers_stay_within_half_a_step(tmp_path: Path, rows: int) -> None:
    source = made_gguf(tmp_path / "made-1M.Q4_1.gguf", rows=rows)
    add_rare_arrays(source)
    copy = requantise(source, tmp_path, sha256(source), print)
    assert f"made-1M.Q8_0.from-{sha256(source)[:12]}.gguf" == copy.name
    _hold_together(source, copy)
    assert {"test.empty", "test.nested"} <= gguf.GGUFReader(copy).fields.keys()


def test_it_is_made_once_and_again_when_damaged(tmp_path: Path) -> None:
    source = made_gguf(tmp_path / "made.gguf")
    said: list[str] = []
    copy = requantise(source, tmp_path, sha256(source), said.append)
    whole, made_at = copy.read_bytes(), copy.stat().st_mtime_ns
    assert copy == requantise(source, tmp_path, sha256(source), said.append)
    assert (1, made_at) == (len(said), copy.stat().st_mtime_ns)
    copy.write_bytes(whole[:-100])
    assert whole == requantise(source, tmp_path, sha256(source), said.append).read_bytes()
    assert {source.name, copy.name} == {path.name for path in tmp_path.iterdir()}


def test_what_holds_no_q4_1_stays_as_it_is(tmp_path: Path) -> None:
    source = made_gguf(tmp_path / "made.gguf", quantised=False)
    assert source == requantise(source, tmp_path, sha256(source), print)
    assert [source] == list(tmp_path.iterdir())


@pytest.mark.local_model
def test_the_real_weights_survive_whole(local_weights: Path, served_weights: Path) -> None:
    """Byte for byte, but for the file type: the reader of the format's library takes seconds for a vocabulary of 49,152."""
    before, after = read_header(local_weights), read_header(served_weights)
    old, new = (bytearray(path.read_bytes()[: before.metadata_end]) for path in (local_weights, served_weights))
    at = before.fields["general.file_type"].start
    assert (old[at], new[at]) == (gguf.LlamaFileType.MOSTLY_Q4_1, gguf.LlamaFileType.MOSTLY_Q8_0)
    new[at] = old[at]
    assert old == new
    kinds = [(tensor.name, tensor.shape, Q8_0 if tensor.kind == Q4_1 else tensor.kind) for tensor in before.tensors]
    assert kinds == [(tensor.name, tensor.shape, tensor.kind) for tensor in after.tensors]
    assert (len(kinds), sum(kind == Q8_0 for _, _, kind in kinds)) == (272, 211)
