"""Job ids: short, in the order of submission when sorted as text, easy to type.

Covers: making one from a job's number, and what a person may have meant.
"""

from __future__ import annotations

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_LETTERS = "jkmnpqrst"  # says how many digits follow (4, 5, ...), so that longer ids sort behind


def job_id(number: int) -> str:
    """``1`` -> ``"j0001"``. A million ids have four digits; then ``k`` and five, and so on."""
    digits = ""
    while number:
        number, digit = divmod(number, 32)
        digits = _DIGITS[digit] + digits
    digits = digits.rjust(4, "0")
    return _LETTERS[len(digits) - 4] + digits


def filled(text: str) -> str:
    """``text`` with the zeros that a person left out: ``"j1a"`` -> ``"j001a"``."""
    letter, digits = text[:1], text[1:]
    if not digits or letter not in _LETTERS:
        return text
    return letter + digits.rjust(_LETTERS.index(letter) + 4, "0")
