"""A credential as a value: carried anywhere, shown nowhere."""

from __future__ import annotations


class Secret:
    """A credential that shows itself to nobody but the one who asks for it by name."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not pickled")
