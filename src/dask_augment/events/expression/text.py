"""Parse the text of an expression with Python's parser, and explain syntax errors."""

from __future__ import annotations

import ast
import keyword
import re
import threading
import warnings

from dask_augment.events.expression.nodes import ExpressionError

_OPERATORS = frozenset({"and", "or", "not", "if", "else", "True", "False"})
_WORD = re.compile(r"[^\W\d]\w*(?:\.\w+)*")
_LOCK = threading.Lock()
_ELSEWHERE = (
    (re.compile("&&"), "write `and` for &&"),
    (re.compile(r"\|\|"), "write `or` for ||"),
    (re.compile("!(?!=)"), "write `not` for !"),
    (
        re.compile("(?<![=<>!])=(?!=)"),
        "write == to compare",
    ),
    (re.compile(r"\?"), "write `a if condition else b` for condition ? a : b"),
)
"""What C++ and ROOT write, and how it is written here."""


def tree_of(line: str, allowed: str) -> ast.expr:
    """The syntax tree; :class:`ExpressionError` where there is none, with what is ``allowed``."""
    try:
        # Warnings of Python's own reader ("invalid decimal literal") speak of programs, not of expressions.
        with _LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(line, mode="eval").body
    except SyntaxError as error:
        place = error.offset - 1 if error.offset else len(line)
        hint = _from_elsewhere(line, place) or word_of_python(line, place) or allowed
        raise ExpressionError(f"{error.msg}: this is no expression; {hint}", line, place) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"this is no expression: {error}", line[:80], 0) from None


def word_of_python(line: str, place: int = -1) -> str:
    """How to write a column with the name of one of Python's own words, if the line has one."""
    words = [(found.group(), found.start()) for found in _WORD.finditer(line)]
    own = [word for word, _ in words if _is_own(word)] or [
        word for word, at in words if at == place and _is_operator(word)
    ]
    return f'{own[0]!r} is a word of Python: if it is a column, write col("{own[0]}")' if own else ""


def _from_elsewhere(line: str, place: int) -> str:
    """How to write what another language has where Python stopped reading, or one character before."""
    return next((hint for mark, hint in _ELSEWHERE if any(abs(m.start() - place) < 2 for m in mark.finditer(line))), "")


def _is_own(word: str) -> bool:
    return any(part in keyword.kwlist and (part not in _OPERATORS or "." in word) for part in word.split("."))


def _is_operator(word: str) -> bool:
    return word in _OPERATORS
