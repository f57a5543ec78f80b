"""A folder for each job: a Git worktree with the present changes, which shares the project's DVC cache.

DVC runs one `dvc repro` at a time in a folder. In a worktree it has a lock of its own, while the run cache lies in the
shared cache, so that the project's own `dvc repro` later finds every stage that ran in a worktree.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alfnet.errors import AlfnetError
from alfnet.launch.jobs import end_groups, group_in, is_free, works_in

LINKS = "reflink,hardlink,symlink,copy"
"""How a worktree takes files from the cache: no link needs the space of a copy."""
IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""Files of a data set, which no job changes."""


class Worktrees:
    """Makes and removes the worktrees of one launch below `folder`, from the state of `root` when it was made."""

    def __init__(self, root: Path, folder: Path) -> None:
        """Raises AlfnetError where `root` is not the top of a Git repository with a commit."""
        self.root, self.folder = root, folder
        self.kept = folder.with_name("untracked")
        if git(root, "rev-parse", "--show-cdup").strip():
            raise AlfnetError(f"{root}: not the top folder of the repository; run this there")
        self.commit = present_state(root)
        # Now, since a worktree may be made hours later, when these files are no longer what they are.
        self.untracked = []
        for file in untracked_files(root):
            with contextlib.suppress(FileNotFoundError):  # deleted since Git listed it
                _take(file, root, self.kept)
                self.untracked.append(file)
        self.config = self._config()

    def make(self, name: str) -> Path:
        """Make a worktree and return its folder. Nothing large is copied: files are linked where that is possible.

        Raises AlfnetError or OSError where that fails; `remove` then removes what there is of it.
        """
        path = self.folder / name
        git(self.root, "worktree", "add", "--detach", "--quiet", str(path), self.commit)
        for file in self.untracked:
            _take(file, self.kept, path)
        (path / ".dvc" / "config.local").write_text("\n".join(self.config) + "\n")
        return path

    def remove(self, path: Path) -> None:
        """Remove a worktree with all that is in it."""
        subprocess.run(["git", "worktree", "remove", "--force", str(path)], cwd=self.root, capture_output=True)
        shutil.rmtree(path, ignore_errors=True)
        subprocess.run(["git", "worktree", "prune"], cwd=self.root, capture_output=True)

    def clean(self) -> None:
        """Remove all worktrees, whole or not, and what was kept to make them of."""
        for path in self.folder.glob("*/"):
            self.remove(path)
        shutil.rmtree(self.kept, ignore_errors=True)

    def _config(self) -> list[str]:
        """The lines of `.dvc/config.local` in a worktree: the project's own, and the cache that is shared."""
        from configobj import ConfigObj

        cache = subprocess.run(
            [sys.executable, "-m", "dvc", "cache", "dir"], cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()
        config = ConfigObj(str(self.root / ".dvc" / "config.local"))
        config["cache"] = {**config.get("cache", {}), "dir": str((self.root / cache).resolve()), "type": LINKS}
        config.filename = None  # `write` then returns the lines
        return list(config.write())


def untracked_files(root: Path) -> list[Path]:
    """The files below `root` that Git neither tracks nor ignores. Git lists a repository within it as a folder: left out."""
    names = [name for name in git(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0") if name]
    for name in names:
        if name.endswith("/"):
            print(f"{name}: a Git repository of its own; the jobs run without it", file=sys.stderr)
    return [Path(name) for name in names if not name.endswith("/")]


def present_state(root: Path) -> str:
    """Return a commit, on no branch, of all changes to tracked files; HEAD where there are none.

    `git stash create` fails without a word where files were written anew with the same content, as `dvc.lock` by a
    `dvc repro` in a fresh clone, so the index is refreshed first; and while another program, an editor or a prompt, holds
    the index's lock, so both work with a copy. It keeps the time, by which Git knows which files to read again. Files that
    are only announced (`git add --intent-to-add`) are added to the copy, since `git stash create` stumbles over them.
    """
    identity = ("-c", "user.name=alfnet launch", "-c", "user.email=launch@alfnet.invalid")
    index = root / git(root, "rev-parse", "--git-path", "index").strip()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "index"
        if index.is_file():
            shutil.copy2(index, copy)
        git(root, "update-index", "-q", "--refresh", GIT_INDEX_FILE=str(copy), accepted=(0, 1))
        announced = git(root, "diff-files", "--name-only", "--diff-filter=A", "-z", GIT_INDEX_FILE=str(copy))
        if announced:
            names = announced.rstrip("\0").split("\0")
            git(root, "--literal-pathspecs", "add", "--", *names, GIT_INDEX_FILE=str(copy))
        if git(root, "diff-index", "HEAD", GIT_INDEX_FILE=str(copy)).strip():
            return git(root, *identity, "stash", "create", GIT_INDEX_FILE=str(copy)).strip()
    return git(root, "rev-parse", "HEAD").strip()


@contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """Make `folder` and own it within the block; `remove_left` leaves it alone until then. It goes where nothing came into it."""
    folder.mkdir(parents=True)
    with open(folder / "owner", "w") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            if [path.name for path in folder.iterdir()] == ["owner"]:
                shutil.rmtree(folder, ignore_errors=True)


def remove_left(root: Path, launches: Path) -> list[Path]:
    """Remove what launches left that were killed, but for those still running; return their folders.

    Its jobs are stopped first, since their folders go: those given to Slurm, and those that still run on this machine.
    """
    left = []
    for folder in sorted(launches.glob("*")):
        if not folder.is_dir() or not is_free(folder / "owner"):
            continue
        submitted = folder / "slurm-jobs"
        if submitted.is_file() and shutil.which("scancel"):
            subprocess.run(["scancel", *submitted.read_text().split()], capture_output=True)
        groups = [group for path in folder.glob("trees/*.group") if (group := group_in(path)) is not None]
        # The number of a group may by now, or on another machine, be that of some other program.
        end_groups([group for group in groups if works_in(group, folder)])
        for path in folder.glob("trees/*"):
            subprocess.run(["git", "worktree", "remove", "--force", str(path)], cwd=root, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
        left.append(folder)
    subprocess.run(["git", "worktree", "prune"], cwd=root, capture_output=True)
    return left


def git(root: Path, *arguments: str, accepted: tuple[int, ...] = (0,), **variables: str) -> str:
    """Run Git in `root`, with more environment variables, and return its output.

    Raises AlfnetError with Git's own words where it ends with a code that is not among the `accepted` ones.
    """
    try:
        result = subprocess.run(
            ["git", *arguments],
            cwd=root,
            env=os.environ | variables,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",  # as Python has the names of files
        )
    except FileNotFoundError:
        raise AlfnetError("git: no such command; install Git") from None
    if result.returncode not in accepted:
        said = result.stderr.strip() or result.stdout.strip() or f"ended with {result.returncode}, without a word"
        raise AlfnetError(f"git {' '.join(arguments)}: {said}")
    return result.stdout


def _take(file: Path, source: Path, target: Path) -> None:
    """Put a file that lies below the folder `source` below the folder `target`."""
    (target / file).parent.mkdir(parents=True, exist_ok=True)
    if (source / file).is_symlink():
        os.symlink(os.readlink(source / file), target / file)
    else:
        _link(source / file, target / file)


def _link(source: Path, target: Path) -> None:
    """A hard link for an image and for what is large; a copy of any other file, which may then change."""
    if source.suffix.lower() in IMAGES or source.stat().st_size > 2**20:
        try:
            os.link(source, target)
            return
        except OSError:  # as on another file system
            pass
    shutil.copy2(source, target)
