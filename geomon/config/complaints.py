"""What is wrong with a config, in one line that names the key, the value and what is allowed."""

import difflib
import os
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from geomon.errors import ConfigError

_PREFIX = "GEOMON_"
_WORDS = {
    "tuple_type": "must be a list, for example [A, B]",
    "string_type": "must be text; put it in quotes",
    "model_type": "must hold keys; leave the section out for its defaults",
    "string_pattern_mismatch": "is not written as it should be",
    "too_short": "must name at least one",
    "string_too_short": "must not be empty",
}
# What these say is complete; the others are followed by what the key means, and in which unit.
_COMPLETE = {"value_error", "literal_error", "model_type", "string_too_short"}


class _UniqueKeys(yaml.SafeLoader):
    """YAML whose mappings hold each key once: a second one would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                problem = f"key {key.value!r} stands there twice; keep one"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_sections(path: Path) -> dict[str, Any]:
    """Read the sections of a config file, unchecked.

    Raises
    ------
    ConfigError
        If it is not YAML, holds a key twice, or no sections.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {_place(error)}") from error
    except UnicodeDecodeError as error:
        msg = f"{path}: cannot be read as YAML: it is not UTF-8 text"
        raise ConfigError(msg) from error
    except (OSError, yaml.YAMLError) as error:
        msg = f"{path}: cannot be read as YAML: {' '.join(str(error).split())}"
        raise ConfigError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path}: must hold sections such as network: and source:"
        raise ConfigError(msg)
    return content


def _place(error: yaml.MarkedYAMLError) -> str:
    mark, problem = error.problem_mark, error.problem or str(error)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    hint = "; indent with spaces, not tabs" if r"'\t'" in problem else ""
    return f"{where}{problem}{hint}"


def check_environment(sections: Iterable[str]) -> None:
    """Refuse variables of the environment that look like keys of a section there is not.

    Raises
    ------
    ConfigError
        If there is one, such as GEOMON_ARCHIV__URL.
    """
    known = [name.upper() for name in sections]
    for name in os.environ:
        section, is_key, _ = name.upper().removeprefix(_PREFIX).partition("__")
        # The tokens of data centres hold the host's name, which may hold anything.
        is_ours = name.upper().startswith(_PREFIX) and not section.startswith("FDSN_")
        if is_key and is_ours and section not in known:
            raise ConfigError(f"{name} in the environment: {unknown_key(section, known)}")


def unknown_key(key: object, allowed: Iterable[str]) -> str:
    """Say that a key is none of those allowed, and which may have been meant."""
    names = list(allowed)
    close = difflib.get_close_matches(str(key), names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"allowed are {', '.join(names)}"
    return f"{key!r} is not a key; {hint}"


def one_line(error: ValidationError, model: type[BaseModel]) -> str:
    """Say what is wrong with the first key that is, and how many more are."""
    # A key that is not known explains one that is missing, and not the other way round.
    first = min(error.errors(), key=lambda one: one["type"] == "missing")
    keys, field, allowed = _follow(first["loc"], model)
    where = ".".join(keys)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    context, kind = first.get("ctx", {}), first["type"]
    if kind == "extra_forbidden":
        return f"in {'.'.join(keys[:-1])}, {unknown_key(keys[-1], allowed)}{more}"
    if kind == "union_tag_not_found":
        return f"{where}.kind is missing; give one of {', '.join(_kinds(field))}{more}"
    if kind == "union_tag_invalid":
        return f"{where}.kind = {context['tag']!r}: must be {context['expected_tags']}{more}"
    meaning = _meaning(field) if kind not in _COMPLETE else ""
    if kind == "missing":
        return f"{where} is missing{meaning}{more}"
    message = _WORDS.get(kind) or first["msg"].removeprefix("Value error, ")
    value = "" if isinstance(first["input"], dict) else f" = {_short(first['input'])}"
    variable = _PREFIX + "__".join(keys).upper()
    origin = next((f", from {name}" for name in os.environ if name.upper() == variable), "")
    return f"{where}{value}{origin}: {message[:1].lower()}{message[1:]}{meaning}{more}"


def _follow(
    loc: tuple[int | str, ...], model: type[BaseModel]
) -> tuple[list[str], FieldInfo | None, list[str]]:
    """Return the keys on the way to a place, its field, and the keys of the section it is in."""
    keys: list[str] = []
    field: FieldInfo | None = None
    options: list[type[BaseModel]] = []
    for part in loc:
        chosen = next((one for one in options if _kind(one) == part), None)
        if chosen is not None:
            model, options = chosen, []
            continue
        keys.append(str(part))
        if isinstance(part, str) and part in model.model_fields:
            field = model.model_fields[part]
            options = list(_sections(field.annotation))
            if len(options) == 1:
                model, options = options[0], []
    return keys, field, list(model.model_fields)


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any annotation
    if isinstance(annotation, typing.TypeAliasType):
        annotation = annotation.__value__
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _sections(part)


def _kind(section: type[BaseModel]) -> str | None:
    kind = section.model_fields.get("kind")
    return None if kind is None else str(kind.default)


def _kinds(field: FieldInfo | None) -> list[str]:
    found = _sections(field.annotation) if field is not None else iter(())
    return [kind for section in found if (kind := _kind(section)) is not None]


def _meaning(field: FieldInfo | None) -> str:
    text = " ".join((field.description or "").split()) if field is not None else ""
    return f" ({text.split('; ')[0].split('. ')[0].rstrip('.')})" if text else ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
