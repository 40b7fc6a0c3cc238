"""What the frozen values of this package have in common.

attrs writes each class's ``__repr__`` as source and compiles it, which costs more at start-up than the rest of the
class together; one that is shared costs nothing until somebody looks at a value.
"""

from __future__ import annotations


class Value:
    """Base of values that every command loads: use with ``@frozen(repr=False)``."""

    __slots__ = ()

    def __repr__(self) -> str:
        """What differs from the default."""
        attributes = type(self).__attrs_attrs__  # type: ignore[attr-defined]
        values = [(a, getattr(self, a.name)) for a in attributes]
        shown = ", ".join([f"{a.name}={value!r}" for a, value in values if value is not a.default])
        return f"{type(self).__qualname__}({shown})"
