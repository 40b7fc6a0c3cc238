"""What the frozen values of this package have in common.

attrs writes each class's ``__repr__`` as source and compiles it, which costs more at start-up than the rest of the
class together; one that is shared costs nothing until somebody looks at a value.
"""

from __future__ import annotations


class Value:
    """Base of values that every command loads: use with ``@frozen(repr=False)``."""

    __slots__ = ()

    def __repr__(self) -> str:
        attributes = type(self).__attrs_attrs__  # type: ignore[attr-defined]
        shown = ", ".join([f"{a.name}={getattr(self, a.name)!r}" for a in attributes])
        return f"{type(self).__qualname__}({shown})"
