"""Reading YAML files that people write, within bounds: what is larger than such a file can be is refused at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from alfnet.errors import AlfnetError

BYTES_AT_MOST = 2**18
"""Of a file; a parameter file has some thousand."""
_VALUES_AT_MOST = 20_000
_DEPTH_AT_MOST = 40


def read_yaml(path: str | os.PathLike[str], *, advice: str = "name another file") -> Any:
    """Return a YAML file's content: dictionaries, lists, strings, numbers, booleans and None.

    Anchors and aliases are resolved; what they multiply counts as if it were written out. Raises AlfnetError, naming the
    file, where it is missing (with `advice`), too large, nested too deeply, or no YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    path = Path(path)
    try:
        size = path.stat().st_size
        if size > BYTES_AT_MOST:
            raise AlfnetError(
                f"{path}: has {size} bytes; at most {BYTES_AT_MOST} are read. Is it a YAML file of settings?"
            )
        with path.open("rb") as file:
            text = file.read(BYTES_AT_MOST + 1).decode("utf-8-sig")
    except FileNotFoundError:
        raise AlfnetError(f"{path}: no such file; {advice}") from None
    except IsADirectoryError:
        raise AlfnetError(f"{path}: is a folder; {advice}") from None
    except OSError as error:
        raise AlfnetError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise AlfnetError(
            f"{path}: not readable as YAML: no UTF-8 text (position {error.start}); save it as UTF-8"
        ) from None
    except ValueError:  # a NUL in the name
        raise AlfnetError(f"{str(path)!r}: no such file; {advice}") from None
    try:
        content = YAML(typ="safe", pure=True).load(text)
    except RecursionError:
        raise AlfnetError(f"{path}: nested too deeply for a file of settings") from None
    except (YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise AlfnetError(f"{path}: not readable as YAML: {' '.join(str(error).split())[:500]}") from None
    if _values(content, {}, 0) > _VALUES_AT_MOST:
        raise AlfnetError(
            f"{path}: holds more than {_VALUES_AT_MOST} values, or is nested too deeply, for a file of settings"
        )
    return content


def _values(content: Any, known: dict[int, int], depth: int) -> int:
    """How many values `content` has when all aliases are written out; `known` remembers shared parts by identity."""
    if not isinstance(content, dict | list):
        return 1
    if depth > _DEPTH_AT_MOST:
        return _VALUES_AT_MOST + 1
    if id(content) not in known:
        known[id(content)] = _VALUES_AT_MOST + 1  # a part that holds itself
        parts = content.values() if isinstance(content, dict) else content
        known[id(content)] = 1 + sum(_values(part, known, depth + 1) for part in parts)
    return known[id(content)]
