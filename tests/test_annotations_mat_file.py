"""MATLAB files against SciPy's reader, and what damaged and hostile ones end in."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from alfnet.annotations.mat_file import Other, load_mat
from alfnet.errors import AlfnetError


def message(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(AlfnetError) as caught:
        load_mat(path, "copy it again")
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


def saved(variables: dict, **options: bool) -> bytes:
    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, **options)
    return stream.getvalue()


def nested(depth: int) -> np.ndarray:
    value = np.array([[1.0]])
    for _ in range(depth):
        cell = np.empty((1, 1), dtype=object)
        cell[0, 0] = value
        value = cell
    return value


def assert_same(one: np.ndarray, other: np.ndarray) -> None:
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    if one.dtype.names is not None:
        for mine, theirs in zip(one.ravel(), other.ravel(), strict=True):
            for name in one.dtype.names:
                assert_same(mine[name], theirs[name])
    elif one.dtype.kind == "O":
        for mine, theirs in zip(one.ravel(), other.ravel(), strict=True):
            assert_same(mine, theirs)
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("compressed", [False, True])
def test_the_reader_gives_what_scipy_gives(tmp_path: Path, compressed: bool) -> None:
    cell = np.empty((1, 3), dtype=object)
    cell[0, 0] = np.arange(6.0).reshape(2, 3)
    cell[0, 1] = "Zürich"
    cell[0, 2] = np.zeros((0, 10), np.uint8)
    content = saved(
        {
            "a": cell,
            "b": {"x": np.int16(3), "y": "text", "z": nested(2)},
            "c": np.array([True, False]),
            "d": np.array([(1, "x"), (2.5, "")], dtype=[("number", object), ("text", object)]),
            "e": np.array(["ab", "cde"]),
            "f": "",
        },
        do_compression=compressed,
    )
    (tmp_path / "x.mat").write_bytes(content)
    ours = load_mat(tmp_path / "x.mat", "")
    theirs = scipy.io.loadmat(io.BytesIO(content))
    assert set(ours) == set("abcdef")
    for name in ours:
        assert_same(ours[name], theirs[name])


@pytest.mark.costly
def test_real_files_as_scipy_reads_them(shared: Path, golden: Path) -> None:
    files = [*(shared / "data" / "citypersons").glob("anno_*.mat"), golden / "caltech_samples" / "V000.vbb"]
    assert len(files) == 3
    for path in files:
        ours, theirs = load_mat(path, ""), scipy.io.loadmat(path, appendmat=False)
        assert set(ours) == {name for name in theirs if not name.startswith("__")}
        for name, value in ours.items():
            assert_same(value, theirs[name])


def test_files_of_machines_that_store_the_high_byte_first(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype=">f8").reshape(2, 3)
    parts = (
        struct.pack(">IIII", 6, 8, 6, 0), struct.pack(">IIii", 5, 8, 2, 3), struct.pack(">HH4s", 1, 1, b"a"),
        struct.pack(">II", 9, 48) + numbers.tobytes(order="F"),
    )  # fmt: skip
    matrix = b"".join(parts)
    content = (
        b"MATLAB 5.0".ljust(124) + struct.pack(">H2s", 0x0100, b"MI") + struct.pack(">II", 14, len(matrix)) + matrix
    )
    (tmp_path / "x.mat").write_bytes(content)
    np.testing.assert_array_equal(load_mat(tmp_path / "x.mat", "")["a"], numbers)


def test_what_annotations_do_not_have_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    path.write_bytes(saved({"a": scipy.sparse.csc_array(np.eye(3)), "b": np.array([1j]), "c": 2.0}))
    ours = load_mat(path, "")
    assert (ours["a"], ours["b"], ours["c"].item()) == (Other("sparse matrix"), Other("complex matrix"), 2.0)


def test_a_bomb_of_zeros_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(130)) + packer.flush()
    text = message(tmp_path / "x.mat", saved({})[:128] + struct.pack("<II", 15, len(packed)) + packed)
    assert "unpacks to more than 128 MiB" in text


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    # 5,000 nested cells end SciPy's reader with a crash.
    deep = b""
    for _ in range(5000):
        head = struct.pack("<IIII", 6, 8, 1, 0) + struct.pack("<IIii", 5, 8, 1, 1) + struct.pack("<II", 1, 0)
        deep = struct.pack("<II", 14, len(head) + len(deep)) + head + deep
    assert "nested more than" in message(tmp_path / "x.mat", saved({})[:128] + deep)


def test_a_billion_announced_cells_are_refused(tmp_path: Path) -> None:
    content = bytearray(saved({"a": np.array([[1.0], "x"], dtype=object).reshape(1, 2)}))
    at = 128 + 8 + 16 + 8
    assert struct.unpack_from("<ii", content, at) == (1, 2)
    struct.pack_into("<ii", content, at, 30000, 30000)
    assert "900000000 cells are announced" in message(tmp_path / "x.mat", bytes(content))
    struct.pack_into("<ii", content, at, -1, 2)
    assert "a side of -1" in message(tmp_path / "x.mat", bytes(content))


def test_flipped_bits_end_in_messages_or_in_arrays(tmp_path: Path) -> None:
    cell = np.empty((1, 2), dtype=object)
    cell[0, 0] = np.arange(20).reshape(2, 10)
    cell[0, 1] = "a_1.png"
    whole = saved({"anno_val_aligned": cell})
    random = np.random.Generator(np.random.PCG64(3))
    path = tmp_path / "x.mat"
    outcomes = set()
    for _ in range(400):
        content = bytearray(whole)
        content[int(random.integers(128, len(whole)))] ^= 1 << int(random.integers(8))
        path.write_bytes(content)
        try:
            load_mat(path, "copy it again")
            outcomes.add("read")
        except AlfnetError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}  # nothing else was raised
