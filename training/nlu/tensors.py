"""Reads and writes safetensors files: an 8-byte length, a JSON header, then the tensors as they lie in memory."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

_TYPES = {"F32": np.float32, "F16": np.float16, "I8": np.int8, "I32": np.int32, "I64": np.int64}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors by name, and the file's own remarks."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    remarks = header.pop("__metadata__", {})
    body = memoryview(data)[8 + length :]
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(body[start:end], _TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, remarks


def write(path: Path, tensors: dict[str, np.ndarray], remarks: dict[str, str]) -> None:
    """The same tensors and remarks always give the same bytes."""
    header, at = {"__metadata__": dict(sorted(remarks.items()))} if remarks else {}, 0
    arrays = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    for name, array in arrays.items():
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(a.tobytes() for a in arrays.values()))
