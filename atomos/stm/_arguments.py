"""Arguments: how a message shows them, and by which names they are given."""

from __future__ import annotations

from typing import Any

__all__ = ["NOT_GIVEN", "one_of", "shown"]


def shown(value: object) -> str:
    """Return the `repr` of `value` for a message, whatever that does.

    It may raise: that of an int with more than 4300 digits does. The message is
    about another error, which must be raised all the same.
    """
    try:
        return repr(value)
    except Exception as error:
        return f"<its repr raises {type(error).__name__}>"


class _NotGiven:
    __slots__ = ()

    def __repr__(self) -> str:
        return "<not given>"


#: The default of a parameter for which any object is a value, also None.
NOT_GIVEN: Any = _NotGiven()


def one_of(call: str, name: str, value: Any, name_in_0_3: str, other: Any) -> Any:
    """Return the argument that was given by either of its names.

    Args:
        call: Of what it is an argument, for the message.
        name: Its name.
        value: What was given by that.
        name_in_0_3: Its name in atomos 0.3.
        other: What was given by that.

    Raises:
        TypeError: It was given by both or by neither.
    """
    if value is NOT_GIVEN:
        if other is NOT_GIVEN:
            msg = f"{call}() is missing its argument {name!r}"
            raise TypeError(msg)
        return other
    if other is not NOT_GIVEN:
        msg = (
            f"{call}() got multiple values for its argument {name!r}: "
            f"{name_in_0_3!r} is what atomos 0.3 called it"
        )
        raise TypeError(msg)
    return value
