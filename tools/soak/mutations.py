"""Ways in which a file gets damaged, or was made to do damage; each seeded, so that a case can be repeated."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

Mutation = Callable[[bytes, random.Random], bytes]

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_ODD_VALUES = (
    b"null", b"true", b'"text"', b"[]", b"{}", b"-1", b"0", b"1e308", b"-1e308", b"1e39", b"NaN", b"Infinity", b"1e-320",
    b"1" + b"0" * 400, b"9" * 5000, b'"\\u0000"', b'"--1"', b"[[[[[[]]]]]]", b"18446744073709551616", b"0.1.2", b"0x10",
)  # fmt: skip


def truncate(content: bytes, rng: random.Random) -> bytes:
    """Cut the end off, anywhere."""
    return content[: rng.randrange(len(content))]


def flip_bits(content: bytes, rng: random.Random) -> bytes:
    """Flip one to sixteen bits."""
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def flip_in_head(content: bytes, rng: random.Random) -> bytes:
    """Flip bits where formats keep their sizes and types: the first kilobyte."""
    return flip_bits(content[:1024], rng) + content[1024:]


def zero_range(content: bytes, rng: random.Random) -> bytes:
    """Overwrite a range with zeros, as a disk or a broken copy leaves it."""
    start = rng.randrange(len(content))
    end = min(len(content), start + rng.choice((1, 16, 512, 4096)))
    return content[:start] + bytes(end - start) + content[end:]


def remove_range(content: bytes, rng: random.Random) -> bytes:
    """Leave a range out."""
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.choice((1, 3, 64, 4096)) :]


def repeat_range(content: bytes, rng: random.Random) -> bytes:
    """Have a range twice."""
    start = rng.randrange(len(content))
    end = start + rng.choice((1, 8, 256, 8192))
    return content[:end] + content[start:]


def insert_bytes(content: bytes, rng: random.Random) -> bytes:
    """Put random bytes in."""
    start = rng.randrange(len(content) + 1)
    return content[:start] + rng.randbytes(rng.choice((1, 2, 8, 100))) + content[start:]


def odd_number(content: bytes, rng: random.Random) -> bytes:
    """Put something else in the place of a number in a text."""
    numbers = list(_NUMBER.finditer(content))
    if not numbers:
        return flip_bits(content, rng)
    place = rng.choice(numbers)
    return content[: place.start()] + rng.choice(_ODD_VALUES) + content[place.end() :]


def other_file(content: bytes, rng: random.Random) -> bytes:
    """Something else altogether under the same name."""
    return rng.choice(
        (
            b"",
            b"\0",
            b"\n",
            b"null",
            b"[]",
            b"{}",
            b"[" * 1_000_000,
            b'{"a":' * 100_000,
            b"PK\x03\x04" + content[:100],
            b"\x80\x04\x95" + content[:100],
            b"\x1f\x8b" + content[:100],
            b"\x89HDF\r\n\x1a\n" + content[:100],
            b"MATLAB 5.0 MAT-file" + bytes(200),
            b"\xff\xfe" + "text".encode("utf-16-le"),
            b"<!DOCTYPE html><html></html>",
            rng.randbytes(2000),
        )
    )


MUTATIONS: tuple[Mutation, ...] = (
    truncate,
    flip_bits,
    flip_bits,
    flip_in_head,
    zero_range,
    remove_range,
    repeat_range,
    insert_bytes,
    odd_number,
    odd_number,
    other_file,
)
