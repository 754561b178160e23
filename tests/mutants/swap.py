"""Put a mutant into modules that are loaded already, so that a forked process needs no new import.

Works where only the bodies of functions differ: their code is exchanged in place, and whoever has
imported the function runs the new one. Refuses everything else; such a mutant needs a new process.
"""

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType, ModuleType

from forestall.store import queries
from tests.mutants.mutant import PACKAGE, Mutant


class NotSwappableError(Exception):
    """The mutant changes more than the bodies of functions."""


def swap_in(mutant: Mutant) -> None:
    """Apply a mutant to this process. Raises NotSwappableError, and changes nothing then."""
    file = PACKAGE / mutant.path
    honest = file.read_text(encoding="utf-8")
    changed = mutant.applied(honest)
    if file.suffix == ".sql":
        queries.blocks.cache_clear()
        vars(queries)["resources"] = _Texts(file.name, changed)
        return
    name = ".".join((PACKAGE.name, *file.relative_to(PACKAGE).with_suffix("").parts))
    if name not in sys.modules:
        sys.meta_path.insert(0, _Finder(name, str(file), changed))
        return
    pairs = list(_pairs(_compiled(honest, str(file)), _compiled(changed, str(file))))
    codes = {_place(old): new for old, new in pairs}
    functions = [
        each
        for each in gc.get_objects()
        if type(each) is FunctionType and each.__module__ == name and _place(each.__code__) in codes
    ]
    if any(
        each.__code__.co_freevars != codes[_place(each.__code__)].co_freevars for each in functions
    ):
        raise NotSwappableError
    for each in functions:
        each.__code__ = codes[_place(each.__code__)]


class _Texts:
    """Stands for `importlib.resources` where SQL is read: one file has another text."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = name, text

    def files(self, package: str) -> "_Texts":
        """See `importlib.resources.files`."""
        return self

    def joinpath(self, folder: str, name: str) -> "_Texts":
        """A file of the package, with the text of the mutant if it is that one."""
        file = PACKAGE / "store" / folder / name
        return self if name == self._name else _Texts(name, file.read_text(encoding="utf-8"))

    def read_text(self, encoding: str) -> str:
        """The text."""
        return self._text


def _compiled(text: str, file: str) -> CodeType:
    code = compile(text, file, "exec", dont_inherit=True)
    assert isinstance(code, CodeType)
    return code


def _place(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def _is_function(code: CodeType) -> bool:
    return bool(code.co_flags & inspect.CO_NEWLOCALS) and bool(code.co_flags & inspect.CO_OPTIMIZED)


def _pairs(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """The functions of two versions of a module or class, one by one. Raises NotSwappableError
    where more than functions differ."""
    inner = _codes(old), _codes(new)
    same_shape = [code.co_name for code in inner[0]] == [code.co_name for code in inner[1]]
    if _is_function(old):
        yield old, new
    elif not same_shape or _shell(old) != _shell(new):
        raise NotSwappableError
    if same_shape:
        for one, other in zip(*inner, strict=True):
            yield from _pairs(one, other)


def _codes(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _shell(code: CodeType) -> tuple[object, ...]:
    """What a module or class does beside defining functions: its code, its names, and the texts of
    its constants, since `1` and `True` are equal."""
    constants = [repr(each) for each in code.co_consts if not isinstance(each, CodeType)]
    return code.co_code, code.co_names, constants


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module, which is imported later, in a text."""

    def __init__(self, name: str, file: str, text: str) -> None:
        self._name, self._file, self._text = name, file, text

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `MetaPathFinder.find_spec`."""
        if name != self._name:
            return None
        loader = _Loader(name, self._file, self._text)
        return importlib.util.spec_from_file_location(name, self._file, loader=loader)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from a text that no file holds."""

    def __init__(self, name: str, file: str, text: str) -> None:
        super().__init__(name, file)
        self._text = text

    def get_data(self, path: str) -> bytes:
        """The text of the module."""
        return self._text.encode()

    def path_stats(self, path: str) -> dict[str, float]:
        """Raises OSError, so that no bytecode is read or written: the text has no time."""
        raise OSError
