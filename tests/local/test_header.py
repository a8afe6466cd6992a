from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.local.made import SCALARS, header_only, made_gguf, text

from trimtab.core.errors import LocalModelError
from trimtab.local.header import BLOCKS, Header, read_header


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_gguf(tmp_path_factory.mktemp("gguf") / "made.gguf")


def test_the_formats_own_reader_sees_the_same(made: Path) -> None:
    ours, theirs = read_header(made), gguf.GGUFReader(made)
    arrays = {name for name, field in theirs.fields.items() if field.types[0] == gguf.GGUFValueType.ARRAY}
    scalars = {
        name: field.contents() for name, field in theirs.fields.items() if name not in arrays and not name.startswith("GGUF.")
    }
    assert scalars == {name: field.value for name, field in ours.fields.items()}
    assert len(SCALARS) == len(arrays)
    assert theirs.fields["GGUF.kv_count"].contents() == ours.field_count
    assert [
        (tensor.name, tensor.shape.tolist(), tensor.tensor_type, tensor.data_offset, tensor.n_bytes) for tensor in theirs.tensors
    ] == [(tensor.name, list(tensor.shape), tensor.kind, ours.data_start + tensor.offset, tensor.bytes) for tensor in ours.tensors]


def test_block_sizes_are_the_formats() -> None:
    assert {kind: gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)] for kind in BLOCKS} == BLOCKS


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_file_cut_short_anywhere_is_damaged(made: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    header, whole = read_header(made), made.read_bytes()
    end = max(header.data_start + tensor.offset + (tensor.bytes or 0) for tensor in header.tensors)
    cut = tmp_path_factory.getbasetemp() / "cut.gguf"
    cut.write_bytes(whole[: data.draw(st.integers(0, end - 1))])
    with pytest.raises(LocalModelError, match="not a sound GGUF file"):
        read_header(cut)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_is_either_harmless_or_named(made: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    damaged = bytearray(made.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, read_header(made).data_start))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(damaged)
    with suppress(LocalModelError):
        assert isinstance(read_header(path), Header)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUF",
        b"<html>404</html>" * 10,
        header_only(b"", 2**63),
        header_only(text("a") + struct.pack("<IIQ", 9, 8, 2**62), 1),
        header_only(text("a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 1000, 1),
        header_only(text("a") + struct.pack("<IB", 99, 0), 1),
        header_only(text("general.alignment") + struct.pack("<II", 4, 0), 1),
        b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
    ],
    ids=[
        "empty",
        "letters only",
        "a web page",
        "endless fields",
        "endless strings",
        "nested",
        "unknown kind",
        "alignment 0",
        "version 1",
    ],
)
def test_nonsense_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "nonsense.gguf"
    path.write_bytes(content)
    with pytest.raises(LocalModelError) as caught:
        read_header(path)
    assert str(path) in caught.value.message
    assert "fetch it again" in caught.value.hint


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalModelError, match=r"cannot be read: No such file.*Check the path"):
        read_header(tmp_path / "missing.gguf")
