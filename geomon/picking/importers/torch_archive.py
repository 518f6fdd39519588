"""Tensors out of a PyTorch file, read as data: nothing in it can be executed.

``torch.save`` writes a ZIP archive of raw arrays and a pickle that says which array is which. A
pickle is a program, and Python's own reader runs it. Here its few operations that build a
dictionary of tensors are interpreted, none of which can call or import anything; a file with any
other operation or name is refused.

Format: PyTorch serialization notes, https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

import math
import pickletools
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from geomon.errors import PickerMismatch
from geomon.picking.importers.rebuilding import Array

_MAX_PICKLE_BYTES = 2**20
_MAX_TENSOR_BYTES = 2**28
_MAX_FILES = 10_000
_STORAGES = {
    f"torch {kind}Storage": np.dtype(code)
    for kind, code in {
        "Float": "<f4", "Double": "<f8", "Half": "<f2", "Long": "<i8", "Int": "<i4",
        "Short": "<i2", "Char": "<i1", "Byte": "<u1", "Bool": "?",
    }.items()
}  # fmt: skip
_DICTIONARY = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_PARAMETER = "torch._utils _rebuild_parameter"
_NAMES = frozenset({_DICTIONARY, _TENSOR, _PARAMETER, *_STORAGES})
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "NONE": lambda: None,
    "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
}  # fmt: skip
_LITERALS = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE"})
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Name(NamedTuple):
    """A module and a name in it; only ever compared, never looked up."""

    text: str


class _Mark(NamedTuple):
    """Where a list of items begins on the stack."""


class _Reader:
    """Interprets the pickle of one archive."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        self._archive = archive
        self._folder = folder
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def read(self, program: bytes) -> Any:  # noqa: ANN401 - what the file holds
        """Return the object the pickle describes.

        Raises
        ------
        ValueError
            If it holds anything but tensors.
        """
        for operation, argument, _ in pickletools.genops(program):
            if operation.name == "STOP":
                return self._stack.pop()
            self._step(operation.name, argument)
        msg = "its pickle has no end"
        raise ValueError(msg)

    def _step(self, name: str, argument: Any) -> None:  # noqa: ANN401
        stack = self._stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            stack.append(argument)
        elif name == "GLOBAL":
            if argument not in _NAMES:
                msg = f"it names {argument.replace(' ', '.')}, which is no part of a tensor"
                raise ValueError(msg)
            stack.append(_Name(argument))
        elif name == "MARK":
            stack.append(_Mark())
        elif name in {"BINPUT", "LONG_BINPUT"}:
            self._memo[argument] = stack[-1]
        elif name in {"BINGET", "LONG_BINGET"}:
            stack.append(self._memo[argument])
        elif name == "TUPLE":
            stack.append(tuple(self._items()))
        elif name in _TUPLES:
            count = _TUPLES[name]
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            self._dictionary()[key] = value
        elif name == "SETITEMS":
            items = self._items()
            self._dictionary().update(zip(items[::2], items[1::2], strict=True))
        elif name == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(self._rebuilt(function, arguments))
        elif name == "BUILD":
            stack.pop()  # a dictionary's attributes: versions of modules
        elif name != "PROTO":
            msg = f"its pickle does more than list tensors ({name})"
            raise ValueError(msg)

    def _items(self) -> list[Any]:
        """Take everything since the last mark off the stack."""
        stack = self._stack
        start = max(k for k, value in enumerate(stack) if isinstance(value, _Mark))
        items = stack[start + 1 :]
        del stack[start:]
        return items

    def _dictionary(self) -> dict[Any, Any]:
        if not isinstance(self._stack[-1], dict):
            msg = "it sets items of what is no dictionary"
            raise ValueError(msg)
        return self._stack[-1]

    def _storage(self, reference: Any) -> Array:  # noqa: ANN401
        """Read one raw array: ("storage", type, key, device, number of elements).

        Raises
        ------
        ValueError
            If it is not there in full.
        """
        tag, kind, key, _, count = reference
        if tag != "storage" or not isinstance(kind, _Name) or not re.fullmatch(r"\d{1,6}", key):
            msg = f"it refers to {reference!r}, which is no storage"
            raise ValueError(msg)
        entry = self._archive.getinfo(f"{self._folder}data/{key}")
        dtype = _STORAGES[kind.text]
        if entry.file_size > _MAX_TENSOR_BYTES or entry.file_size < count * dtype.itemsize:
            msg = f"its array {key} has {entry.file_size} bytes for {count} numbers"
            raise ValueError(msg)
        return np.frombuffer(self._archive.read(entry), dtype, count)

    @staticmethod
    def _rebuilt(function: Any, arguments: Any) -> Any:  # noqa: ANN401
        """Do what one of the three allowed names stands for.

        Raises
        ------
        ValueError
            If it is another name, or a tensor that is a view of another.
        """
        if function == _Name(_DICTIONARY) and arguments == ():
            return {}
        if function == _Name(_PARAMETER):
            return arguments[0]
        if function == _Name(_TENSOR):
            storage, offset, shape, strides, *_ = arguments
            whole = storage[offset : offset + math.prod(shape)]
            expected = tuple(math.prod(shape[k + 1 :]) for k in range(len(shape)))
            if tuple(strides) != expected:
                msg = f"it has a tensor of shape {shape} that is not stored in order"
                raise ValueError(msg)
            return whole.reshape(shape)
        msg = f"its pickle calls {function!r}"
        raise ValueError(msg)


def is_torch_archive(path: Path) -> bool:
    """Whether a file is an archive as ``torch.save`` writes it."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("data.pkl") for name in archive.namelist())


def read_tensors(path: Path) -> dict[str, Array]:
    """Read a state dictionary, the names and tensors of a PyTorch model.

    Parameters
    ----------
    path : Path
        File written by ``torch.save(model.state_dict(), path)``, PyTorch 1.6 or later.

    Returns
    -------
    dict of str to array

    Raises
    ------
    PickerMismatch
        If the file is none, or holds anything but tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            tensors = _read(archive)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise PickerMismatch(msg) from error
    except (
        zipfile.BadZipFile, zlib.error, EOFError, ValueError, LookupError, TypeError,
        AttributeError, RuntimeError,
    ) as error:  # fmt: skip
        msg = f"{path}: not a PyTorch state dictionary ({error})"
        raise PickerMismatch(msg) from error
    is_state = isinstance(tensors, dict) and all(
        isinstance(key, str) and isinstance(value, np.ndarray) for key, value in tensors.items()
    )
    if not is_state:
        msg = f"{path}: not a PyTorch state dictionary (it holds more than named tensors)"
        raise PickerMismatch(msg)
    return dict(tensors)


def _read(archive: zipfile.ZipFile) -> Any:  # noqa: ANN401 - what the archive holds
    """Return what an archive's pickle describes.

    Raises
    ------
    ValueError
        If it is not as ``torch.save`` writes it on a common machine, or holds more than tensors.
    """
    names = archive.namelist()
    found = [name for name in names if re.fullmatch(r"([^/]+/)?data\.pkl", name)]
    if len(found) != 1:
        msg = f"it holds {len(found)} files data.pkl"
        raise ValueError(msg)
    folder = found[0].removesuffix("data.pkl")
    if archive.getinfo(found[0]).file_size > _MAX_PICKLE_BYTES or len(names) > _MAX_FILES:
        msg = "its index is too large"
        raise ValueError(msg)
    if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
        msg = "its numbers are stored big end first"
        raise ValueError(msg)
    return _Reader(archive, folder).read(archive.read(found[0]))
