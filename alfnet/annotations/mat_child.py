"""Reads a MATLAB file on stdin with SciPy and writes its content to stdout in a form that cannot run anything.

A program of its own, started by `mat_file.load_mat` and run under limits: SciPy's reader crashes on some damaged files,
and a few bytes can declare gigabytes. It imports nothing of the project, so that it starts fast.

Output: one line of JSON, a tree of nodes, then the raw bytes of all numbers. A node is {"text": [...], "shape"},
{"cell": [nodes], "shape"}, {"fields": [names], "values": [[nodes] per element], "shape"}, {"numbers": dtype, "shape",
"at": offset into the raw bytes} or {"other": type name}.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def limit(memory_bytes: int, seconds: int) -> None:
    """Let the system end this process where it takes more memory or processor time."""
    try:
        import resource
    except ImportError:  # not on every system
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def node(value: Any, numbers: bytearray) -> dict[str, Any]:
    """Describe a value of SciPy's; the bytes of numbers are appended to `numbers`."""
    dtype = getattr(value, "dtype", None)
    if dtype is None or not hasattr(value, "ravel"):
        return {"other": type(value).__name__}
    shape = list(value.shape)
    flat = value.ravel()
    if dtype.names is not None:
        values = [[node(element[name], numbers) for name in dtype.names] for element in flat]
        return {"fields": list(dtype.names), "values": values, "shape": shape}
    if dtype.kind == "O":
        return {"cell": [node(element, numbers) for element in flat], "shape": shape}
    if dtype.kind == "U":
        return {"text": flat.tolist(), "shape": shape}
    if dtype.kind in "iufcb":
        at = len(numbers)
        numbers += flat.tobytes()
        return {"numbers": dtype.str, "shape": shape, "at": at}
    return {"other": dtype.name}


def answer_to(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The tree of a file's variables, or {"error": ...} where SciPy gives up, and the raw bytes of the numbers."""
    import io

    import scipy.io

    numbers = bytearray()
    try:
        variables = scipy.io.loadmat(io.BytesIO(content), appendmat=False)
        nodes = {name: node(value, numbers) for name, value in variables.items() if not name.startswith("__")}
    except Exception as error:  # a damaged file makes SciPy raise nearly anything: zlib.error, TypeError, KeyError...
        return {"error": " ".join(str(error).split()) or type(error).__name__}, b""
    return {"variables": nodes}, bytes(numbers)


def main() -> None:
    """Read the limits from the command line, the file from stdin, and write the answer to stdout."""
    limit(int(sys.argv[1]), int(sys.argv[2]))
    answer, numbers = answer_to(sys.stdin.buffer.read())
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.write(numbers)


if __name__ == "__main__":
    main()
