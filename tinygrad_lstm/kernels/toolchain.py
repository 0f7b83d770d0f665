"""From C source to loaded functions: compiler, cache, and what may go wrong with either."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import json
import logging
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tinygrad_lstm.errors import TinygradError

log = logging.getLogger("tinygrad_lstm")
_FLAGS = ("-std=gnu11", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-w")
_LONG = 26_000  # characters of a source for which the last passes of a compiler take too long
_SECONDS = 120  # a compiler that takes longer is broken
_MOST = 64 << 20  # bytes of kept code: what was not used for longest is removed beyond these


class NoCompiler(TinygradError, RuntimeError):
    """C code that cannot be made here; the message says why."""


@dataclass(frozen=True)
class Machine:
    """The processor, as far as the code depends on it."""

    name: str
    vector: int  # bytes of a vector register
    rows: int  # rows of a block of a product that fit into the registers


@functools.cache
def machine() -> Machine:
    """This machine."""
    flags = _processor_flags()
    name = hashlib.sha256(" ".join([platform.machine(), *sorted(flags)]).encode()).hexdigest()[:16]
    if "avx512f" in flags:
        return Machine(name, 64, 8)
    if "avx2" in flags and "fma" in flags:
        return Machine(name, 32, 6)
    return Machine(name, 16, 8 if platform.machine().lower() in ("arm64", "aarch64") else 6)


def _processor_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines():
            if line.startswith(("flags", "Features")):
                return set(line.split(":", 1)[1].split())
    except OSError:
        pass
    return {platform.processor()}


@functools.cache
def compiler() -> tuple[str, ...] | None:
    """The command of a C compiler: TINYGRAD_LSTM_CC, cc, gcc, clang, or ziglang's; None if none."""
    given = os.environ.get("TINYGRAD_LSTM_CC")
    if given is not None:
        return tuple(given.split()) or None
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return (found,)
    if importlib.util.find_spec("ziglang"):
        return (sys.executable, "-m", "ziglang", "cc")
    return None


@functools.lru_cache(maxsize=256)
def load(source: str, products: str, target: Machine) -> ctypes.CDLL:
    """The library of a cell's source and of the products it uses, made unless it is kept."""
    command = compiler()
    if command is None:
        raise NoCompiler("there is no C compiler (cc, gcc, clang, or the package ziglang)")
    last: Exception | None = None
    for folder in _folders():
        try:
            part = _made(folder, products, ".o", target, command)
            ending = ".dll" if sys.platform == "win32" else ".so"
            return ctypes.CDLL(str(_made(folder, source, ending, target, command, part)))
        except OSError as error:  # not writable, full, or what lies there cannot be loaded
            last = error
    raise NoCompiler(f"compiled code can be kept nowhere: {last}")


def kept(
    source: str, ending: str, target: Machine, command: tuple[str, ...], flags: tuple[str, ...]
) -> bytes:
    """What a compiler of another machine makes of a source, made unless it is kept."""
    last: Exception | None = None
    for folder in _folders():
        try:
            return _made(folder, source, ending, target, command, flags=flags).read_bytes()
        except OSError as error:
            last = error
    raise NoCompiler(f"compiled code can be kept nowhere: {last}")


def _age(command: tuple[str, ...]) -> str:
    """Changes when the compiler does."""
    try:
        state = os.stat(shutil.which(command[0]) or command[0])
    except OSError:
        return ""
    return f"{state.st_size} {state.st_mtime_ns}"


def _folders() -> list[Path]:
    """Where compiled code is kept: the user's cache, else a folder of this process alone."""
    kept = _cache()
    if kept and _private(kept):
        return [kept, _temporary()]
    where = f"{kept} can be written by others, or not by us" if kept else "there is no home folder"
    say(f"{where}: compiled code is not kept")
    return [_temporary()]


def _cache() -> Path | None:
    """TINYGRAD_LSTM_CACHE, or a folder of the user's cache."""
    if given := os.environ.get("TINYGRAD_LSTM_CACHE"):
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    empty = os.environ.get("HOME") == "" and home == "/.cache"
    return None if empty or not os.path.isabs(home) else Path(home) / "tinygrad-lstm"


@functools.cache
def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tinygrad-lstm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _private(folder: Path) -> bool:
    """Whether a folder, made if need be, and all above it are ours or the system's alone."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            return False
        if not hasattr(os, "geteuid"):
            return True
        for place in [folder.resolve(), *folder.resolve().parents]:
            state = place.stat()
            ours = state.st_uid in (os.geteuid(), 0)
            loose = bool(state.st_mode & 0o022)
            shared = bool(state.st_mode & stat.S_ISVTX) and place != folder.resolve()
            if not ours or (loose and not shared):
                return False
    except OSError:
        return False
    return True


def _made(
    folder: Path,
    source: str,
    ending: str,
    target: Machine,
    command: tuple[str, ...],
    *parts: Path,
    flags: tuple[str, ...] = (),
) -> Path:
    """The compiled form of a source in a folder, made unless it is there."""
    names = [part.name for part in parts]
    flags = flags or _flags(source, ending)
    all_of_it = [source, ending, target.name, *command, *flags, _age(command), *names]
    name = hashlib.sha256("\0".join(all_of_it).encode()).hexdigest()[:32] + ending
    made, note = folder / name, folder / f"{name}.json"
    if _whole(made, note):
        with contextlib.suppress(OSError):  # it was used now
            os.utime(made, ns=(time.time_ns(), made.stat().st_mtime_ns))
        return made
    _compile(made, note, source, (*command, *flags), parts)
    _bound(folder, made, *parts)
    return made


def _bound(folder: Path, *needed: Path) -> None:
    """Remove what was not used for longest, and what a process that ended early left behind.

    A process that has loaded a library keeps it; one that is about to makes it anew elsewhere.
    """
    used: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another process removes it, too
            state = path.stat()
            if path.suffix in (".o", ".so", ".dll", ".wasm") and path not in needed:
                used.append((state.st_atime, state.st_size, path))
            elif path.name.startswith("making-") and time.time() - state.st_mtime > 2 * _SECONDS:
                shutil.rmtree(path, ignore_errors=True)
    total = sum(size for _, size, _ in used)
    for _, size, path in sorted(used):
        if total <= _MOST:
            break
        total -= size
        for gone in (path, path.with_name(f"{path.name}.json")):
            with contextlib.suppress(OSError):
                gone.unlink()


def _flags(source: str, ending: str) -> tuple[str, ...]:
    """What the compiler is told: of a long source, vectors, but no unrolling, no vectors of rests.

    With one level of effort less the loops take twice the time. TINYGRAD_LSTM_CFLAGS stands in
    the place of that effort: -O1 compiles four times as fast.
    """
    arm = platform.machine().lower() in ("arm64", "aarch64")
    rests = ("--param", "vect-epilogues-nomask=0")
    effort: tuple[str, ...] = ("-O3",)
    if len(source) > _LONG:
        effort = ("-O2", "-ftree-vectorize", *rests)
    if given := os.environ.get("TINYGRAD_LSTM_CFLAGS"):
        effort = tuple(given.split())
    wide = ("-mprefer-vector-width=512",) if "VECTOR 64" in source else ()
    kind = "-c" if ending == ".o" else "-shared"
    return ("-mcpu=native" if arm else "-march=native", *effort, *_FLAGS, *wide, kind)


def _whole(library: Path, note: Path) -> bool:
    """Whether a kept library is what was compiled, byte for byte, and nobody else's."""
    try:
        written = json.loads(note.read_text(encoding="utf-8"))
        state = library.stat()
        if hasattr(os, "geteuid") and (state.st_uid != os.geteuid() or state.st_mode & 0o022):
            return False
        return bool(written["sha256"] == hashlib.sha256(library.read_bytes()).hexdigest())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _compile(
    target: Path, note: Path, source: str, command: tuple[str, ...], parts: tuple[Path, ...]
) -> None:
    """Compile beside the place and move there: another process sees all of it or nothing."""
    work = Path(tempfile.mkdtemp(prefix="making-", dir=target.parent))
    try:
        text, made = work / "cell.c", work / target.name
        text.write_text(source, encoding="utf-8")
        files = [str(text), *map(str, parts), *["-lm"] * (target.suffix != ".wasm")]
        try:
            done = subprocess.run(
                [*command, "-o", str(made), *files],
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=_SECONDS,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoCompiler(f"the compiler {command[0]} did not run: {error}") from error
        if done.returncode or not made.is_file():
            said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            first = next((line for line in said if "error" in line), said[0])
            raise NoCompiler(f"the compiler {command[0]} failed: {first}")
        beside = work / note.name
        digest = hashlib.sha256(made.read_bytes()).hexdigest()
        beside.write_text(json.dumps({"sha256": digest}), encoding="utf-8")
        made.chmod(0o700)
        os.replace(made, target)
        os.replace(beside, note)
    finally:
        shutil.rmtree(work, ignore_errors=True)


_said: set[str] = set()


def say(what: str) -> None:
    """Tell the user once."""
    if what not in _said:
        _said.add(what)
        log.warning("tinygrad-lstm: %s.", what)
