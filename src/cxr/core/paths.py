"""Paths as people write them into a JSON file: ``~`` and variables are replaced, what cannot be meant is refused."""

import os
import re

from cxr.core.errors import InputError

VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
DRIVE = re.compile(r"([A-Za-z]):(?=[\\/]|$)")


def expanded(text: str, where: str) -> str:
    """A path with ``~``, ``~name``, ``$NAME`` and ``${NAME}`` replaced, as a shell does.

    Parameters
    ----------
    text : str
    where : str
        The file and the key it comes from, for messages.

    Raises
    ------
    InputError
        A variable is not set, a user is not known; or the path is one of Windows, or a slip.
    """
    what = f'{where}: "{text}"'
    if re.search(r"[\x00-\x1f]", text):
        raise InputError(
            f'{what}: holds a line end, a tab or the like, as "\\n" and "\\t" are in JSON. Write /, not \\'
        )
    if text != text.strip():
        raise InputError(f"{what}: begins or ends with a blank. Remove it.")

    def value(match: re.Match) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):  # an empty one would lead to the root of the disk
            raise InputError(
                f"{what}: the variable {name} is not set. Set it (export {name}=…) or write the whole path."
            )
        return os.environ[name]

    path = VARIABLE.sub(value, os.path.expanduser(text))
    if path.startswith("~"):
        user = path[1:].split("/")[0]
        raise InputError(f"{what}: no home folder of {user or 'this user'} is known. Write the whole path.")
    slashes = path.replace("\\", "/")
    if drive := DRIVE.match(path):
        there = f"/mnt/{drive[1].lower()}{slashes[2:]}"
        raise InputError(f"{what}: a path of Windows. In WSL write {there}")
    if path.startswith("\\\\"):
        mount_point = f"/mnt/{slashes.rstrip('/').rpartition('/')[2]}"
        mount = f"sudo mkdir {mount_point}; sudo mount -t drvfs '{path}' {mount_point}"
        raise InputError(f"{what}: a share as Windows names it. In WSL mount it ({mount}), then write {mount_point}")
    if "\\" in path:
        raise InputError(f"{what}: holds a backslash. Write {slashes}")
    return path
