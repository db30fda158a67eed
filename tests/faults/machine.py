"""The machine that a round's processes believe to be on: they load `loaded/sitecustomize.py` first."""

import struct
from pathlib import Path

_LOADED = Path(__file__).with_name("loaded")


class Machine:
    """`folder` is what the processes read."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._clock, self._no_names, self._folder = folder / "clock", folder / "no_names", folder
        self._clock.write_bytes(struct.pack("q", 0))

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(_LOADED), "MACHINE": str(self._folder)}

    def set_clock(self, off_s: float) -> None:
        """Its time is off by so many real seconds from now on, in every process at once."""
        with self._clock.open("r+b") as file:
            file.write(struct.pack("q", round(off_s * 1e9)))

    def resolve_names(self, *, on: bool) -> None:
        if on:
            self._no_names.unlink()
        else:
            self._no_names.touch()
