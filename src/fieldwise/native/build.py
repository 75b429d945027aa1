"""Compiling a C++ source of this package with the system's compiler, and keeping the result for later processes.

The library lies in `$XDG_CACHE_HOME/fieldwise/kernels` (or `~/.cache/...`) under a name made from the source and the
flags, and from the compiler, so a change of any of them compiles anew. Where there is no compiler any more, a library
that another compiler has made of the same source and flags is used, also from a folder that can only be read. A library
is code: it is loaded only from a folder and a file that belong to the user and that nobody else can write, and only if
it is whole.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import logging
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from fieldwise.storage.atomic import write_bytes

FLAGS = ("-O3", "-std=c++17", "-shared", "-fPIC")
COMPILERS = ("c++", "g++", "clang++")
PATIENCE = 300.0
"""Seconds that a compiler may take."""


class BuildError(Exception):
    """A kernel cannot be had here; the message says why."""


def load_library(source: Path, flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """The library made of a C++ source, from the cache or newly compiled.

    Args:
        source: A file that includes nothing but what comes with the compiler.
        flags: Beyond `FLAGS`.

    Raises:
        BuildError: Where there is no compiler, it fails, or the cache folder cannot be used.
    """
    try:
        folder = _cache_folder()
        name = f"{source.stem}-{_digest(source.read_bytes(), ' '.join((*FLAGS, *flags)).encode())}"
        try:
            compiler = find_compiler()
        except BuildError:
            if made := _made_before(folder, name):
                return made
            raise
        command = " ".join(compiler).encode()
        library = folder / f"{name}-{_digest(command, _run([*compiler, '--version']).encode())}.so"
        for fresh in (False, True):
            if fresh or not _is_whole(library):
                _compile(source, library, compiler, flags)
            try:
                return ctypes.CDLL(str(library))
            except OSError:
                # Whole, but of another system perhaps, where home directories are shared: once more, then give up.
                if fresh:
                    raise
    except OSError as error:
        raise BuildError(f"{error.strerror or error}: {error.filename}" if error.filename else str(error)) from error
    raise AssertionError


def library_or_reason(source: Path, flags: tuple[str, ...] = ()) -> ctypes.CDLL | str:
    """The library made of a C++ source, as `load_library` finds it, or why it cannot be had."""
    if sys.platform != "linux":
        return "it is written for Linux"
    try:
        return load_library(source, flags)
    except BuildError as error:
        _say_why_not(str(error))
        return str(error)


@functools.cache
def _say_why_not(reason: str) -> None:
    """Once for each reason, whatever the number of kernels: it can be mended, and until then training is slower."""
    logging.getLogger(__name__).warning("kernels are not used, torch computes in their place: %s", reason)


def find_compiler() -> list[str]:
    """The command of the C++ compiler: `$CXX`, or the first of the usual names.

    Raises:
        BuildError: Where it is not there.
    """
    if command := shlex.split(os.environ.get("CXX", "")):
        compiler = shutil.which(command[0])
        if compiler is None:
            raise BuildError(f"the C++ compiler '{command[0]}' that CXX names is not there")
        return [compiler, *command[1:]]
    for name in COMPILERS:
        if compiler := shutil.which(name):
            return [compiler]
    raise BuildError("no C++ compiler found; install g++ or clang++, or name one in CXX")


def _cache_folder() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not root.is_absolute():  # as the standard wants it
        try:
            root = Path.home() / ".cache"
        except RuntimeError as error:
            raise BuildError("there is no home directory to keep compiled kernels in") from error
    folder = root / "fieldwise" / "kernels"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _require_own(folder)
    return folder


def _require_own(path: Path) -> None:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise BuildError(f"{path} is a link, belongs to somebody else or can be written by others")


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()[:32]


def _made_before(folder: Path, name: str) -> ctypes.CDLL | None:
    """The newest library of a source and flags, whatever compiler made it; None where none can be loaded."""
    for library in sorted(folder.glob(f"{name}-*.so"), key=lambda path: path.stat().st_mtime, reverse=True):
        with contextlib.suppress(OSError):
            if _is_whole(library):
                return ctypes.CDLL(str(library))
    return None


def _is_whole(library: Path) -> bool:
    """Whether a library is there as it was written: loading half of one could end the process."""
    try:
        _require_own(library)
        content = library.read_bytes()
    except FileNotFoundError:
        return False
    return hashlib.sha256(content[:-32]).digest() == content[-32:]


def _compile(source: Path, library: Path, compiler: list[str], flags: tuple[str, ...]) -> None:
    """Write a library, all or nothing, with its SHA-256 behind its end, where the loader does not look."""
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        output = Path(folder) / "output.so"
        _run([*compiler, *FLAGS, *flags, str(source), "-o", str(output)])
        content = output.read_bytes()
    write_bytes(library, content + hashlib.sha256(content).digest(), mode=0o700)


def _run(command: list[str]) -> str:
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{command[0]} took longer than {PATIENCE:.0f} s") from error
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if "error" in line.lower()] or result.stderr.splitlines()
        raise BuildError(f"{command[0]} failed: {lines[0].strip() if lines else f'status {result.returncode}'}")
    return result.stdout
