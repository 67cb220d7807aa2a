"""SETTINGS.json and PARAMS.json, read and checked."""

import json
import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cxr.core.artifacts import read_ordinary
from cxr.core.errors import InputError, hint
from cxr.core.findings import FINDINGS, canonical
from cxr.core.members import BACKBONES, FAMILIES, SMALLEST_INPUT, backbone_of, check
from cxr.core.parameters import (
    NAMED_WEIGHTS,
    STAGES,
    GeneralParams,
    ModelParams,
    Params,
    Stage,
    TableParams,
    TrainParams,
    as_now,
)
from cxr.core.settings import REPLACED_SETTINGS, Settings, expanded

# In place of "Tuple should have at least 1 item after validation, not 0" and the like.
WORDS = {
    "too_short": "must name {min_length} or more",
    "too_long": "must name {max_length} at most",
    "multiple_of": "must be a multiple of {multiple_of}",
}
# In place of the json module's "Expecting …".
JSON_WORDS = {
    "Expecting ',' delimiter": "a comma or the closing bracket is missing",
    "Expecting ':' delimiter": "a colon is missing after the key",
    "Expecting value": 'a value is missing, or none of JSON\'s: a number, "text", true, false, null, [ ], { }',
    "Expecting property name enclosed in double quotes": "a key in double quotes is missing; JSON has no comments",
}


def _read_json(path: Path) -> dict[str, Any]:
    def no_duplicates(pairs):
        twice = sorted(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        if twice:
            raise InputError(f"{path}: {', '.join(twice)} stands more than once; keep one.")
        return dict(pairs)

    try:
        content = json.loads(read_ordinary(path), object_pairs_hook=no_duplicates)  # UTF-8 or -16, marked or not
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Give one with --settings / --params.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}. Give one with --settings / --params.") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}: line {line} is not UTF-8. Save it so: editors call it the file's encoding."
        ) from None
    except json.JSONDecodeError as error:
        advice = " A backslash? Write paths with /; in WSL D:\\films is /mnt/d/films." if "escape" in error.msg else ""
        advice += " Curly quotes? Write straight ones." if re.search("[“”„]", error.doc) else ""
        raise InputError(f"{path}: not valid JSON: {_told(error)}.{advice or ' Mend it there.'}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, nesting without end
        raise InputError(f"{path}: not valid JSON: {error}.") from None
    if not isinstance(content, dict):
        raise InputError(f'{path}: expected an object {{"KEY": value, …}}, found {type(content).__name__}.')
    return content


def _told(error: json.JSONDecodeError) -> str:
    """What is wrong and where it stands: of a comma that is missing, or one too many, not the line after it."""
    trailing = "trailing comma" in error.msg  # Python 3.13, which stands at it and not behind
    before = error.doc[: error.pos + trailing].rstrip()
    what, where = JSON_WORDS.get(error.msg, error.msg), error.pos
    if trailing or (before.endswith(",") and error.doc[error.pos : error.pos + 1] in ("}", "]", "")):
        what, where = "a comma after the last value, which must have none", len(before) - 1
    elif "delimiter" in error.msg:
        where = len(before)
    place = json.JSONDecodeError("", error.doc, where)
    return f"{what}, line {place.lineno}, column {place.colno}"


def _checked(stage: type[Stage], content: dict[str, Any], where: str):
    try:
        return stage.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(
            str(part) for part in first["loc"] if not str(part).startswith(("dict[", "function", "str", "literal["))
        )
        came = first["input"]
        expected = first["msg"].removeprefix("Value error, ")
        if first["type"] in WORDS:
            expected = WORDS[first["type"]].format(**first["ctx"])
        choices = re.findall(r"'([^']+)'", first["ctx"]["expected"]) if first["type"] == "literal_error" else []
        meant = hint(came, choices) if isinstance(came, str) else ""
        raise InputError(f"{where}: {key}: {expected}; found {came!r}.{meant} Mend the value and run again.") from None


def params_from(content: dict[str, Any], where: str) -> Params:
    """Checked parameters from the keys and values of a PARAMS.json.

    Raises
    ------
    InputError
        Names the file, the key, what was expected and what came, for the first mistake.
    """
    content, known = as_now(content), {key for stage in STAGES.values() for key in _keys(stage)}
    for key in content:
        if key not in known:
            other = " It is a key of SETTINGS.json." if key in _keys(Settings) else hint(key, known)
            raise InputError(f"{where}: unknown key {key}.{other} All keys are in docs/parameters.md.")
    if isinstance(content.get("FINDINGS"), list):
        content = {"CLASS_NUM": len(content["FINDINGS"])} | content
    stages = {
        name: _checked(stage, {key: content[key] for key in _keys(stage) if key in content}, where)
        for name, stage in STAGES.items()
    }
    _check_findings(stages["general"], stages["tables"], content, where)
    members = stages["models"].ensemble_members
    check(members, f"{where}: ENSEMBLE_MEMBERS")
    if twice := sorted({member for member in members if members.count(member) > 1}):
        other = f"With another seed it is {backbone_of(twice[0])}@2, @3 and so on."
        raise InputError(f"{where}: ENSEMBLE_MEMBERS: {twice[0]} stands there twice. {other}")
    for backbone in map(backbone_of, members):
        size, key = getattr(stages["models"], BACKBONES[backbone]), BACKBONES[backbone].upper()
        if size < SMALLEST_INPUT.get(backbone, 0):
            needs = f"{backbone} needs {SMALLEST_INPUT[backbone]} pixels or more"
            raise InputError(f"{where}: {key}: {needs}; found {size}.")
    for key in ("weights", "output_stride"):
        if isinstance(by_member := getattr(stages["models"], key), dict):
            check(by_member, f"{where}: {key.upper()}")
    _check_overrides(stages["training"].member_overrides, content, where)
    params = Params(**stages)
    _check_first_weights(params, where)
    return params


def _check_findings(general: GeneralParams, tables: TableParams, content: dict[str, Any], where: str) -> None:
    count = len(general.findings)
    if general.class_num != count:
        raise InputError(
            f"{where}: CLASS_NUM: must be {count}, the number of FINDINGS; found {general.class_num}. Mend one of them."
        )
    known = {*general.findings, *FINDINGS}  # a default's name does no harm where it is not looked for
    for key in ("UNCERTAIN_LABELS", "BLANK_LABELS"):
        for name in content.get(key) or ():
            if canonical(name) not in map(canonical, known):
                raise InputError(
                    f"{where}: {key}: {name}: not in FINDINGS ({', '.join(general.findings)}).{hint(name, known)}"
                )


def _check_first_weights(params: Params, where: str) -> None:
    limits = params.models.weights_range
    if limits and (len(limits) != 2 or limits[0] >= limits[1]):
        raise InputError(f"{where}: WEIGHTS_RANGE: must be [] or [black, white], ascending; found {list(limits)}.")
    if limits and not any(map(params.weights_of_pytorch, {*BACKBONES, *params.models.ensemble_members})):
        raise InputError(f"{where}: WEIGHTS_RANGE: is for a PyTorch file, and WEIGHTS names none. Name one, or say [].")
    for member in [member for family in FAMILIES for member in params.members(family)]:
        training = params.for_member(member).training
        if training.freeze != "none" and params.first_weights(member) == "none":
            raise InputError(f"{where}: FREEZE: {member} has no first weights to freeze. Give it some in WEIGHTS.")
        if isinstance(training.freeze, int) and not 1 <= training.freeze < training.epochs:
            raise InputError(
                f"{where}: FREEZE: must be none, backbone, or at least 1 and less than EPOCHS, {training.epochs} of "
                f"{member}; found {training.freeze}."
            )


def _check_overrides(by_member: dict[str, dict[str, Any]], content: dict[str, Any], where: str) -> None:
    check(by_member, f"{where}: MEMBER_OVERRIDES")
    overridable = set(_keys(TrainParams)) - {"MEMBER_OVERRIDES"} | {"DROPOUT"}
    for member, overrides in by_member.items():
        for key in overrides:
            if key not in overridable:
                raise InputError(
                    f"{where}: MEMBER_OVERRIDES of {member}: {key} cannot differ by member.{hint(key, overridable)}"
                )
        merged = {**{key: content[key] for key in _keys(TrainParams) if key in content}, **overrides}
        for stage, keys in ((TrainParams, set(merged) - {"DROPOUT"}), (ModelParams, set(merged) & {"DROPOUT"})):
            _checked(stage, {key: merged[key] for key in keys}, f"{where}: MEMBER_OVERRIDES of {member}")


def _keys(stage: type[Stage]) -> list[str]:
    return [name.upper() for name in stage.model_fields]


def load_params(path: Path) -> Params:
    """Read and check PARAMS.json; see `params_from`. A weights file and a key file are relative to it."""
    content = _read_json(path)
    folder = path.resolve().parent

    def resolved(given: Any, key: str, words: tuple[str, ...]) -> Any:
        no_path = not isinstance(given, str) or given in words
        return given if no_path else str(folder / expanded(given, f"{path}: {key}"))

    if "HASH_IDS" in content:
        content["HASH_IDS"] = resolved(content["HASH_IDS"], "HASH_IDS", ("",))
    if "WEIGHTS" in content:
        given = content["WEIGHTS"]
        by_member = given if isinstance(given, dict) else {}
        resolved_by_member = {
            name: resolved(path_of_member, f"WEIGHTS of {name}", NAMED_WEIGHTS)
            for name, path_of_member in by_member.items()
        }
        content["WEIGHTS"] = resolved_by_member or resolved(given, "WEIGHTS", NAMED_WEIGHTS)
    return params_from(content, str(path))


def _without_dots(path: Path) -> Path:
    """The path without ``..``, which messages show; as it is where a link on the way makes that another place."""
    plain = Path(os.path.normpath(path))
    return plain if os.path.realpath(plain) == os.path.realpath(path) else path


def load_settings(path: Path) -> Settings:
    """Read and check SETTINGS.json; relative paths are relative to the file, ``~`` and variables are replaced.

    Raises
    ------
    InputError
        For an unknown key or a value that is no path of this machine; see `settings.expanded`.
    """
    content = _read_json(path)
    known, replaced = set(_keys(Settings)), sorted(REPLACED_SETTINGS & set(content))
    for key in content:
        if key not in known | REPLACED_SETTINGS:
            of_params = any(key in _keys(stage) for stage in STAGES.values())
            other = " It is a key of PARAMS.json." if of_params else hint(key, known)
            raise InputError(f"{path}: unknown key {key}.{other} All keys are in docs/settings.md.")
    if replaced:
        print(
            f"{path}: {len(replaced)} output paths of the original ({replaced[0]} …) are replaced by DATA_DIR and "
            "MODELS_DIR; remove them.",
            file=sys.stderr,
        )
    for name, field in Settings.model_fields.items():
        given = content.get(name.upper())
        if field.annotation is Path and isinstance(given, str):
            content[name.upper()] = expanded(given, f"{path}: {name.upper()}")
    settings = _checked(Settings, {key: value for key, value in content.items() if key in known}, str(path))
    folder = path.resolve().parent
    # "" for a table, and for the lung films, means that there is none; "" and "." for another folder, which Path does
    # not tell apart, the file's own.
    tables = {name: name.upper() for name, _ in settings if "csv" in name or name == "chest_films"}
    # Beside a table of the user's own a release counts only where the file names it.
    unnamed = {name for name, key in tables.items() if key not in content}
    none = {name for name, key in tables.items() if content.get(key) == ""}
    none |= {name for name in ("dataset_dir_segmentation", "mask_dir") if content.get(name.upper()) == ""}
    none |= unnamed if content.get("OWN_CSV") else {name for name in unnamed if getattr(settings, name) == Path()}
    absolute = {name: _without_dots(folder / value) for name, value in settings if isinstance(value, Path)}
    for name in ("data_dir", "models_dir"):
        if absolute[name] == absolute["dataset_dir"]:
            what = f"is the folder of the films, DATASET_DIR {absolute[name]}, where nothing is written"
            raise InputError(f"{path}: {name.upper()}: {what}. Name another folder.")
    return settings.model_copy(update=absolute | dict.fromkeys(none, Path()))


def chosen_members(params: Params, family: str, member: str | None) -> tuple[str, ...]:
    """All members of a family, or the one that was asked for.

    Raises
    ------
    InputError
        The family has no such member; or first weights are of another network, before the others are trained.
    """
    members = params.members(family)
    chosen = members if member is None else (member,)
    for name in chosen:
        if params.weights_of_pytorch(name) and not name.startswith("densenet"):
            raise InputError(
                f"WEIGHTS: {params.first_weights(name)} is PyTorch's, of which only DenseNets are read; found for "
                f'{name}. Give each member its own, such as {{"{name}": "imagenet"}}.'
            )
    if not set(chosen) <= set(members):
        raise InputError(
            f"--member {member}: expected one of {', '.join(members)}, the members of {family} in PARAMS.json."
        )
    return chosen


def existing(path: str, key: str) -> Path:
    """A file that PARAMS.json names.

    Raises
    ------
    InputError
        It is not there.
    """
    if not Path(path).is_file():
        raise InputError(f"{key}: {path}: no such file.")
    return Path(path)
