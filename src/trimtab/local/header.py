"""Read and check the header of a GGUF file: metadata, tensor table, and whether the file is as long as the table says.

Standard library only, so a file can be judged without the extra. Format: docs/gguf.md of ggml-org/ggml. It knows nothing about what the
tensors mean.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct

from trimtab.core.errors import LocalModelError

F32, F16, Q4_1, Q8_0 = 0, 1, 3, 8

BLOCKS: Mapping[int, tuple[int, int]] = MappingProxyType(
    {
        F32: (1, 4),
        F16: (1, 2),
        2: (32, 18),  # Q4_0
        Q4_1: (32, 20),
        6: (32, 22),  # Q5_0
        7: (32, 24),  # Q5_1
        Q8_0: (32, 34),
        10: (256, 84),  # Q2_K
        11: (256, 110),  # Q3_K
        12: (256, 144),  # Q4_K
        13: (256, 176),  # Q5_K
        14: (256, 210),  # Q6_K
        30: (1, 2),  # BF16
        39: (32, 17),  # MXFP4
    }
)
"""Elements and bytes of one block, by ggml type. A type that is not here is not measured."""

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_DEEPEST = 4

Value = str | int | float | bool


class Tensor(Struct, frozen=True):
    """``shape`` is as in the file: the fastest-running dimension first. ``offset`` counts from the start of the tensor data."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def bytes(self) -> int | None:
        """The size of its data; ``None`` for a type that we do not know."""
        block = BLOCKS.get(self.kind)
        return None if block is None else prod(self.shape) // block[0] * block[1]


class Field(Struct, frozen=True):
    """A scalar or string of the metadata, and where its value starts in the file."""

    value: Value
    kind: int
    start: int


class Header(Struct, frozen=True, kw_only=True):
    """``fields`` leaves arrays out; the bytes from ``metadata_start`` to ``metadata_end`` hold everything."""

    version: int
    fields: Mapping[str, Field]
    field_count: int
    metadata_start: int
    metadata_end: int
    tensors: tuple[Tensor, ...]
    alignment: int
    data_start: int

    def text(self, key: str) -> str:
        """A string of the metadata, empty where there is none."""
        field = self.fields.get(key)
        return field.value if field is not None and isinstance(field.value, str) else ""


def read_header(path: Path) -> Header:
    """The header of a sound GGUF file. Raises :class:`LocalModelError` for a file that is missing, damaged or cut short."""
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise _damaged(path, "it does not start with the letters GGUF")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                header = _Reader(data).header()
                _measure(path, header, len(data))
                return header
    except OSError as failure:
        raise LocalModelError(
            f"The model file {path} cannot be read: {failure.strerror}.", hint="Check the path and its permissions."
        ) from failure
    except (struct.error, ValueError, OverflowError) as failure:
        raise _damaged(path, "its header is cut short or holds nonsense") from failure


def _damaged(path: Path, why: str) -> LocalModelError:
    return LocalModelError(f"{path} is not a sound GGUF file: {why}.", hint="Delete it and fetch it again, or give another path.")


def _measure(path: Path, header: Header, size: int) -> None:
    """A file that was cut short still has a good header; llama.cpp would read past its end."""
    for tensor in header.tensors:
        end = header.data_start + tensor.offset + (1 if tensor.bytes is None else tensor.bytes)
        if end > size:
            raise _damaged(
                path, f"it has {size:,} bytes and its tensors need at least {end:,}; the download was probably cut short"
            )


class _Reader:
    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 4

    def header(self) -> Header:
        version, tensor_count, field_count = self._take("<IQQ")
        if version not in (2, 3):
            raise ValueError("unknown version")
        start = self._at
        fields: dict[str, Field] = {}
        for _ in range(field_count):
            key, kind = self._string(), self._take("<I")[0]
            begins = self._at
            value = self._value(kind, depth=0)
            if value is not None:
                fields[key] = Field(value, kind, begins)
        end = self._at
        tensors = tuple(self._tensor() for _ in range(tensor_count))
        alignment = fields["general.alignment"].value if "general.alignment" in fields else 32
        if not isinstance(alignment, int) or alignment <= 0:
            raise ValueError("bad alignment")
        return Header(
            version=version,
            fields=fields,
            field_count=field_count,
            metadata_start=start,
            metadata_end=end,
            tensors=tensors,
            alignment=alignment,
            data_start=-(-self._at // alignment) * alignment,
        )

    def _take(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return values

    def _string(self) -> str:
        (length,) = self._take("<Q")
        text = self._data[self._at : self._at + length]
        if len(text) != length:
            raise ValueError("cut short")
        self._at += length
        return text.decode()

    def _value(self, kind: int, depth: int) -> Value | None:
        """The value at the present place; an array is stepped over and gives ``None``."""
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            self._step_over_array(depth)
            return None
        if kind not in _SCALARS:
            raise ValueError("unknown kind of value")
        return self._take("<" + _SCALARS[kind])[0]

    def _step_over_array(self, depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        kind, count = self._take("<IQ")
        if kind in _SCALARS:
            self._at += count * struct.calcsize("<" + _SCALARS[kind])
        elif kind == _STRING:
            data, at = self._data, self._at
            for _ in range(count):  # a vocabulary has 10^5 of them, so no calls in here
                at += 8 + int.from_bytes(data[at : at + 8], "little")
                if at > len(data):
                    raise ValueError("cut short")
            self._at = at
        else:
            for _ in range(count):
                self._value(kind, depth + 1)

    def _tensor(self) -> Tensor:
        name = self._string()
        (dimensions,) = self._take("<I")
        if dimensions > 8:
            raise ValueError("too many dimensions")
        shape = self._take(f"<{dimensions}Q")
        kind, offset = self._take("<IQ")
        return Tensor(name, shape, kind, offset)
