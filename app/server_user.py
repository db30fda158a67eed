"""As whom the embedded servers run: as ourselves, or, when we are root, as an unprivileged user of their own."""

import grp
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import BadInput

NAME = "candlehouse"

_REMEDY = "move the checkout and DATA_DIR to where every user can enter, such as /opt, or do not start as root"


@dataclass(frozen=True, slots=True)
class ServerUser:
    """`ids` is None when the servers run as the user who starts them."""

    name: str
    ids: tuple[int, int] | None = None

    def options(self) -> dict[str, Any]:
        """For subprocess: become this user, keep no group of root's, stand in a folder that anyone can enter."""
        if self.ids is None:
            return {"cwd": "/"}
        return {"cwd": "/", "user": self.ids[0], "group": self.ids[1], "extra_groups": []}

    def own(self, path: Path) -> None:
        """Hand over a file or folder that we made for the servers."""
        if self.ids is not None:
            os.chown(path, *self.ids)

    def folder(self, path: Path) -> Path:
        """A folder that only this user may open; made when missing, never changed otherwise."""
        if not path.exists():
            path.mkdir(mode=0o700)
            self.own(path)
        return path

    def file(self, path: Path, text: str) -> Path:
        """A file of mode 0600 that this user alone (and root) may read."""
        self.own(private_file(path, text))
        return path

    def must_reach(self, path: Path, what: str) -> None:
        """Raise BadInput, naming the first folder on the way to `path` that this user cannot enter."""
        if self.ids is None:
            return
        for folder in [*reversed(path.absolute().parents), path.absolute()]:
            if subprocess.run(["test", "-x", folder], check=False, **self.options()).returncode:
                who = f"{what} runs as the user {self.name} (never as root), who cannot enter {folder}"
                raise BadInput("DATA_DIR", f"{who}; {_REMEDY}.", "a folder that every user can enter")


def private_file(path: Path, text: str) -> Path:
    """A file of mode 0600, written in one step, by way of a new one: nobody has that open, and it is no link."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
    fresh.replace(path)
    return path


def server_user() -> ServerUser:
    """Made on the first start as root: a system user without password, home or shell; nobody where that fails."""
    if os.geteuid() != 0:
        return ServerUser(pwd.getpwuid(os.geteuid()).pw_name if _has_name() else str(os.geteuid()))
    if not _exists(NAME) and (useradd := shutil.which("useradd")):
        command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "--user-group", NAME]
        subprocess.run(command, check=False, capture_output=True)
    name = NAME if _exists(NAME) else "nobody"
    entry = pwd.getpwnam(name)
    return ServerUser(name, (entry.pw_uid, grp.getgrgid(entry.pw_gid).gr_gid))


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _has_name() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True
