"""Changes good files in hundreds of ways and has each read in a process of its own.

A process may take little time, memory and disk. What counts as passed: the file is read, or one line says why
not. A crash, a traceback, a wait or a claim of memory fails. Seeds are fixed, so every run tries the same files.

    python tests/hostile/fuzz.py --mutants 300 --table docs/hostile_files.md
"""

import argparse
import copy
import faulthandler
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import cv2
import h5py
import numpy as np
import torch
from kinds import KINDS, Kind

from spinloop.errors import UserError
from spinloop.tables.images import UnreadableImage

SECONDS, MEMORY, DISK = 20, 3 << 30, 1 << 26
READ, LINE, BAD = 0, 1, 2
ODD = [None, True, -1, 0, 1e300, float("nan"), 10**30, 2**63, "", "x", "ä" * 999, "../../a", "\ud800", "\0", [], {}, [[]],
       [1, "a"], {"a": {}}, 5e-324, -0.0, "1e400"]  # fmt: skip
WORDS = ["!!int x", "!!timestamp 2000-99-99", "*none", "&a [*a]", ".nan", ".inf", "9" * 5000, "[" * 9999, "{a: 1}", "'", "\t",
         "!!python/object:os.system x", "null", "ä", "-1", "0", "1e999", "yes", "2020-01-01", "<<: *a", "? [a]", "|\n x"]  # fmt: skip
TYPES = ["f8", "f2", "i1", "u8", "?", "c16", "S3", "U2", ">f4"]


def mutant(kind: Kind, good: bytes, number: int, folder: Path) -> bytes:
    """The bytes of a changed file; the same number gives the same bytes."""
    rng = np.random.default_rng([number, len(good)])
    rewrites = {"json": of_json, "yaml": of_yaml, "npz": of_npz, "hdf5": of_hdf5, "torch": of_torch}
    if kind.rewrite in rewrites and number % 2:
        return rewrites[kind.rewrite](good, rng, folder)
    return of_bytes(good, rng)


def of_bytes(good: bytes, rng: np.random.Generator) -> bytes:
    """Flips, cuts, blocks of zeros, ones and noise, numbers that are too large, parts lost or doubled."""
    data = bytearray(good)
    for _ in range(int(rng.choice([1, 1, 1, 2, 5]))):
        # Most of what decides stands in the first and last bytes.
        end = max(1, len(data) if rng.random() < 0.6 else min(len(data), 200))
        at = int(rng.integers(end)) if rng.random() < 0.7 else max(0, len(data) - 1 - int(rng.integers(end)))
        n = int(rng.choice([1, 4, 8, 32, 300]))
        way = int(rng.integers(11))
        if way == 0:
            del data[at:]
        elif way == 1:
            data[at : at + n] = bytes(n)
        elif way == 2:
            data[at : at + n] = b"\xff" * n
        elif way == 3:
            data[at : at + n] = rng.bytes(n)
        elif way == 4:
            del data[at : at + n]
        elif way == 5:
            data[at:at] = data[at : at + n] * int(rng.choice([1, 3, 500]))
        elif way == 6:
            data[at : at + 8] = int(rng.choice([2**31 - 1, 2**32 - 1, 2**40, 2**62])).to_bytes(8, "little")
        elif way == 7:
            data[at : at + 4] = int(rng.choice([2**31 - 1, 2**16, 2**24])).to_bytes(4, "big")
        elif way == 8:
            data += rng.bytes(n)
        elif way == 9:
            data[at : at + 1] = rng.choice(np.array([b"[", b"{", b"9", b"-", b"(", b"\0"]), 1)[0] * int(
                rng.choice([1, 40, 3000])
            )
        elif at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)


def of_json(good: bytes, rng: np.random.Generator, folder: Path) -> bytes:
    """A value replaced, lost, doubled, or buried."""
    value = json.loads(good)
    for _ in range(int(rng.choice([1, 1, 3]))):
        place = value
        while isinstance(place, dict | list) and place:
            key = (
                list(place)[int(rng.integers(len(place)))]
                if isinstance(place, dict)
                else int(rng.integers(len(place)))
            )
            if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.3:
                odd = copy.deepcopy(ODD[int(rng.integers(len(ODD)))])
                if rng.random() < 0.2:
                    del place[key]
                elif isinstance(place, list) and rng.random() < 0.2:
                    place += [copy.deepcopy(place[key])] * 20
                else:
                    place[key] = odd
                break
            place = place[key]
    text = json.dumps(value)
    return (text if rng.random() < 0.9 else '{"a":' * 50_000 + text).encode()


def of_yaml(good: bytes, rng: np.random.Generator, folder: Path) -> bytes:
    """A value replaced, a line lost or indented, another encoding."""
    lines = good.decode().splitlines()
    for _ in range(3):
        row = int(rng.integers(len(lines)))
        key, colon, _ = lines[row].partition(": ")
        lines[row] = (
            f"{key}{colon}{WORDS[int(rng.integers(len(WORDS)))]}" if rng.random() < 0.8 else " " + lines[row]
        )
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    text = "\n".join(lines) + ("\n" + bomb if rng.random() < 0.1 else "")
    return text.encode(
        str(rng.choice(["utf-8", "utf-8", "utf-8", "latin-1", "utf-16", "utf-8-sig"])), "replace"
    )


def of_arrays(arrays: dict, rng: np.random.Generator) -> dict:
    """Another type, shape or value under a key."""
    key = str(rng.choice(list(arrays)))
    old, way = np.asarray(arrays[key]), int(rng.integers(8))
    if way == 0:
        del arrays[key]
    elif way == 1:
        arrays[key] = np.zeros(old.shape, str(rng.choice(TYPES)))
    elif way == 2:
        arrays[key] = old[:-1] if old.ndim and len(old) else np.zeros((0, 3))
    elif way == 3:
        arrays[key] = old.reshape(-1)[:1].reshape(())
    elif way == 4:
        arrays[key] = np.full(old.shape, rng.choice([np.nan, np.inf, -1e308, 1e308, 0]))
    elif way == 5:
        arrays[key] = np.stack([old, old])
    elif way == 6:
        arrays[key] = np.zeros(
            rng.integers(0, 4, int(rng.integers(5))), old.dtype if old.dtype.kind != "O" else "S1"
        )
    else:
        arrays[key] = np.array([None, "a", 3], dtype=object)
    return arrays


def of_npz(good: bytes, rng: np.random.Generator, folder: Path) -> bytes:
    """See `of_arrays`."""
    with np.load(io.BytesIO(good)) as archive:
        arrays = of_arrays(dict(archive), rng)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def of_hdf5(good: bytes, rng: np.random.Generator, folder: Path) -> bytes:
    """See `of_arrays`; also links, other files, and claims."""
    path, other = folder / "work.h5", folder / "other.h5"
    path.write_bytes(good)
    with h5py.File(other, "w") as file:
        file["secret"] = np.ones((2, 3))
    with h5py.File(path, "r+") as file:
        keys = [key for key in file if isinstance(file[key], h5py.Dataset)]
        key, way = str(rng.choice(keys)), int(rng.integers(10))
        shape, kind = file[key].shape, file[key].dtype
        old = file[key][()] if kind.kind != "O" else np.zeros(shape, "S1")
        del file[key]
        if way == 0:
            file[key] = h5py.ExternalLink(str(other), "secret")
        elif way == 1:
            file[key] = h5py.SoftLink(str(rng.choice(["/none", f"/{key}", "/", "//" + keys[0]])))
        elif way == 2:
            layout = h5py.VirtualLayout(shape or (1,), "f8")
            layout[:] = h5py.VirtualSource(str(other), "secret", shape or (1,))
            file.create_virtual_dataset(key, layout)
        elif way == 3:
            file.create_dataset(key, shape or (1,), "f8", external=[(str(other), 0, h5py.h5f.UNLIMITED)])
        elif way == 4:
            file.create_dataset(
                key, (10**9, *shape[1:]), "f8", chunks=(1, *(side or 1 for side in shape[1:])), fillvalue=1
            )
        elif way == 5:
            file.create_group(key)
        elif way == 6:
            file.create_dataset(key, shape, h5py.ref_dtype)
        elif way == 7:
            file[key] = np.array([b"\xff\xfe"] * max(1, len(old) if old.ndim else 1))
        else:
            arrays = of_arrays({key: old}, rng)
            if key in arrays and arrays[key].dtype.kind not in "OU":
                file[key] = arrays[key]
    return path.read_bytes()


def of_torch(good: bytes, rng: np.random.Generator, folder: Path) -> bytes:
    """Sizes that the weights do not have, tensors of another kind, objects."""
    saved = torch.load(io.BytesIO(good), weights_only=False)
    key = str(rng.choice(list(saved)))
    place = saved[key] if isinstance(saved[key], dict) else saved
    inner = str(rng.choice(list(place)))
    odd = [4096, 10**9, -1, None, torch.zeros(3), torch.zeros(0), torch.full((2, 2), torch.nan), {}, [], np.arange(3), 1j,
           torch.zeros(1).expand(10**9), torch.ones(2, dtype=torch.complex64), "x", argparse.Namespace(a=3)]  # fmt: skip
    place[inner] = odd[int(rng.integers(len(odd)))]
    stream = io.BytesIO()
    torch.save(saved if rng.random() < 0.9 else [saved], stream)
    return stream.getvalue()


def attempt(kind: Kind, path: Path, report: Path) -> tuple[int, str]:
    """Read a file in a process of its own: how it went, and what it said."""
    child = os.fork()
    if child == 0:
        with report.open("wb", buffering=0) as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
            faulthandler.enable(stream.fileno())
            resource.setrlimit(resource.RLIMIT_AS, (used_memory() + MEMORY,) * 2)
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
            resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, DISK))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            try:
                kind.read(path)
                outcome = READ
            except (UserError, UnreadableImage) as error:
                os.write(1, str(error).encode("utf-8", "backslashreplace"))
                outcome = LINE
            except BaseException:
                traceback.print_exc()
                outcome = BAD
        os._exit(outcome)
    deadline = time.monotonic() + 2 * SECONDS
    while True:
        ended, status, _ = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return BAD, "it waited for ever"
        time.sleep(0.002)
    said = report.read_bytes().decode("utf-8", "replace").strip()
    outcome = os.waitstatus_to_exitcode(status)
    if outcome == LINE and ("\n" in said or len(said) > 2000):
        return BAD, f"more than a line: {said[:500]}"
    if outcome not in (READ, LINE):
        return BAD, f"status {outcome}: {said[-1500:]}"
    return outcome, said


def used_memory() -> int:
    """Bytes of this process's address space."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def try_kind(kind: Kind, count: int, keep: Path | None) -> Counter[int]:
    """Try so many mutants of a kind; those that failed are printed, and kept if there is a folder for them."""
    outcomes: Counter[int] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, work = folder / "tree" / kind.file, folder / "work"
        path.parent.mkdir(parents=True)
        work.mkdir()
        kind.write(path)
        good = path.read_bytes()
        outcome, said = attempt(kind, path, folder / "said")
        if outcome != READ:
            raise SystemExit(f"{kind.name}: the good file is not read: {said}")
        for number in range(count):
            try:
                data = mutant(kind, good, number, work)
            except (ValueError, TypeError, OSError, OverflowError, RuntimeError, UnicodeError) as error:
                print(f"{kind.name} {number}: not made ({error})", file=sys.stderr)
                continue
            path.write_bytes(data)
            outcome, said = attempt(kind, path, folder / "said")
            outcomes[outcome] += 1
            if outcome == BAD:
                print(f"{kind.name} {number}: {said}\n", flush=True)
                if keep:
                    (keep / f"{kind.name}-{number}{path.suffix}").write_bytes(data)
    return outcomes


def table(rows: dict[str, Counter[int]]) -> str:
    """The table of `docs/hostile_files.md`."""
    lines = [
        "# Files that were damaged on purpose", "",
        "`make test-fuzz` writes this table. A good file of each kind is changed at random, in its bytes and in its values",
        f"(`tests/hostile/fuzz.py`, fixed seeds), and read in a process that may take {SECONDS} s and {MEMORY >> 30} GiB more than before.",
        "A change may leave a file that is still good. [SECURITY.md](../SECURITY.md) says how each format is read.", "",
        "| kind | tried | read | one line | anything else |", "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for name, row in rows.items():
        lines.append(f"| {name} | {sum(row.values())} | {row[READ]} | {row[LINE]} | {row[BAD]} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mutants", type=int, default=300)
    parser.add_argument("--kind", help="only kinds whose name holds this")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the files that failed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    chosen = [kind for kind in KINDS if (options.kind or "") in kind.name]
    readers, children = [], []
    for part in range(2):  # two processes, every other kind
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            rows = {kind.name: try_kind(kind, options.mutants, options.keep) for kind in chosen[part::2]}
            os.write(writer, json.dumps({name: dict(row) for name, row in rows.items()}).encode())
            os._exit(0)
        os.close(writer)
        readers.append(os.fdopen(reader))
        children.append(child)
    found = {}
    for reader in readers:
        found.update(json.loads(reader.read() or "{}"))
    for child in children:
        os.waitpid(child, 0)
    rows = {kind.name: Counter({int(k): n for k, n in found[kind.name].items()}) for kind in chosen}
    text = table(rows)
    print(text)
    if options.table:
        options.table.write_text(text, encoding="utf-8")
    raise SystemExit(any(row[BAD] for row in rows.values()))


if __name__ == "__main__":
    main()
