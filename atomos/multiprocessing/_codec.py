"""Values as bytes: pickle, or JSON where nothing that is read may run code.

A value that cannot be encoded is refused before anything is written; one that cannot
be decoded stays as it is. Both errors name the ref.
"""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any, Protocol

from atomos.errors import DecodingError, EncodingError
from atomos.stm._arguments import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from atomos.multiprocessing._cells import Shared

__all__ = ["CODECS", "Codec", "decode", "encode"]


class Codec(Protocol):
    """How values become bytes.

    Attributes:
        name: What `open` calls it.
        dumps: Value to bytes.
        loads: Bytes to value.
    """

    @property
    def name(self) -> str: ...
    @property
    def dumps(self) -> Callable[[Any], bytes]: ...
    @property
    def loads(self) -> Callable[[bytes], Any]: ...


class _Pickle:
    name = "pickle"
    dumps = staticmethod(pickle.dumps)
    loads = staticmethod(pickle.loads)


class _Json:
    name = "json"

    @staticmethod
    def dumps(value: Any) -> bytes:
        """Encode what JSON gives back as it was: a tuple, say, would become a list."""
        data = json.dumps(value, separators=(",", ":")).encode()
        if json.loads(data) != value:
            msg = f"JSON would not give back {shown(value)} as it is"
            raise TypeError(msg)
        return data

    @staticmethod
    def loads(data: bytes) -> Any:
        return json.loads(data)


CODECS: dict[str, Codec] = {one.name: one for one in (_Pickle(), _Json())}


def encode(codec: Codec, value: object, cell: Shared[Any]) -> bytes:
    """Return `value` as bytes.

    Raises:
        EncodingError: It cannot be encoded; nothing was written.
    """
    try:
        return codec.dumps(value)
    except Exception as error:
        raise not_encoded(codec, value, cell._label(), error) from error


def not_encoded(
    codec: Codec, value: object, label: str, error: Exception
) -> EncodingError:
    """Return what tells that a value of `label` could not be encoded."""
    how = (
        "values of a space are pickled: keep plain data in it"
        if codec.name == "pickle"
        else "the space was opened with codec='json': keep None, bools, numbers, "
        "strings, and lists and dicts with string keys of these in it"
    )
    return EncodingError(
        f"{label} cannot hold {shown(value)}: {type(error).__name__}: {error}; {how}. "
        "Nothing was written"
    )


def decode(codec: Codec, data: bytes, cell: Shared[Any]) -> Any:
    """Return the value that `data` stands for.

    Raises:
        DecodingError: It cannot be decoded; what is stored stays as it is.
    """
    try:
        return codec.loads(data)
    except Exception as error:
        msg = (
            f"the value of {cell._label()} cannot be read: {type(error).__name__}: "
            f"{error}; {len(data)} bytes of {codec.name} are kept as they are. Import "
            "what defines its class under the name it had when it was stored, or set "
            "another value in a function with @dosync"
        )
        raise DecodingError(msg) from error
