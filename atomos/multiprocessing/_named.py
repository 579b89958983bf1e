"""What has a name in a space: it is found, or made with its default.

Under the name lies the value, and beside it of which class it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from atomos.errors import SpaceError
from atomos.multiprocessing._cells import Shared, place
from atomos.multiprocessing._codec import not_encoded
from atomos.stm._arguments import NOT_GIVEN, shown

if TYPE_CHECKING:
    from atomos.multiprocessing._codec import Codec
    from atomos.multiprocessing._home import SpaceHome

__all__ = ["named"]

S = TypeVar("S", bound="Shared[Any]")

#: Bytes of the longest name: LMDB has keys of up to 511 bytes.
LONGEST = 400


def named(home: SpaceHome, kind: type[S], name: str, default: Any) -> S:
    """Return the cell with a name, which is made if it is new."""
    if not _is_name(name):
        msg = f"name must be a str of 1 to {LONGEST} bytes, not {shown(name)}"
        raise ValueError(msg)
    if home.closed:
        home.refuse_closed(f"{kind.__name__} {name!r}")
    key, kind_key = b"cn" + name.encode(), b"ck" + name.encode()
    while (found := home.engine.get(kind_key)) is None:
        if default is NOT_GIVEN:
            msg = (
                f"{home!r} has no {kind.__name__} {name!r}: give it a default, "
                "or look at the name"
            )
            raise SpaceError(msg)
        data = _first(home.codec, kind, name, default)
        home.put_new({kind_key: kind.__name__.encode(), key: data})
    is_a = found[8:].decode()
    if is_a != kind.__name__:
        msg = f"{name!r} in {home!r} is no {kind.__name__}: it is {is_a}"
        raise SpaceError(msg)
    record = home.engine.get(key)
    assert record is not None
    # Of one that was changed since then nobody knows what it was at first.
    initial = record[8:] if record[:8] == found[:8] else b""
    details = kind._plain_details()
    return place(kind, home, key, initial, name, *details)  # type: ignore[return-value] # of that kind


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name.encode()) <= LONGEST


def _first(codec: Codec, kind: type[Shared[Any]], name: str, default: object) -> bytes:
    """Return the first value of a cell as bytes.

    Raises:
        TypeError: Cells of that class do not hold such values.
        EncodingError: It cannot be encoded.
    """
    fits = getattr(kind, "_kind", object)
    if not isinstance(default, fits):
        msg = f"{kind.__name__} holds {fits.__name__} only, not {shown(default)}"
        raise TypeError(msg)
    try:
        return codec.dumps(default)
    except Exception as error:
        label = f"{kind.__name__} {name!r}"
        raise not_encoded(codec, default, label, error) from error
