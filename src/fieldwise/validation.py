"""What pydantic complains of, as one sentence of this library; and documents that raise it by themselves."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from fieldwise.errors import FieldwiseError, SettingsError, suggest

_MOST_SHOWN = 100
"""Characters of a wrong value in a message."""


class Document(BaseModel):
    """A pydantic model that raises an error of this library, with a sentence, instead of pydantic's own.

    An error of ours that a validator raises comes out as it is. (Pydantic would wrap it, for it is a ValueError too.)
    Within another model a document is validated as any model is, and its complaints are part of that model's.

    Example:
        >>> class Size(Document):
        ...     width: int
        >>> Size()
        Traceback (most recent call last):
        fieldwise.errors.SettingsError: 'width' is missing
    """

    raises: ClassVar[type[FieldwiseError]] = SettingsError
    """The error to raise for whatever the model does not accept."""

    entries: ClassVar[str] = ""
    """What its entries are called in a message: `setting`."""

    section: ClassVar[str] = ""
    """What is put before their names there, with a dot: `training`."""

    def __init__(self, /, **data: Any) -> None:
        with _Sentences(type(self)):
            super().__init__(**data)

    # Pydantic's own mark of an __init__ that adds nothing: a document within another model need not call it.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """As pydantic's; raises the error named by `raises`."""
        with _Sentences(cls):
            return super().model_validate(obj, **options)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """As pydantic's; raises the error named by `raises`."""
        with _Sentences(cls):
            return super().model_validate_json(json_data, **options)


class _Sentences:
    def __init__(self, model: type[Document]) -> None:
        self.model = model

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValidationError):
            own = _own_error(error)
            if own is not None:
                raise own from None
            sentence = describe(error, self.model, what=self.model.entries, section=self.model.section)
            raise self.model.raises(sentence) from error


def describe(error: ValidationError, model: Any = None, *, owner: str = "", what: str = "", section: str = "") -> str:
    """The first complaint of a pydantic error as one sentence: the entry, what was got, and what is wrong with it.

    Args:
        error: what pydantic raised.
        model: what was validated, a model or another type; an unknown key is then answered with the nearest known one.
        owner: whose entries these are, for the beginning of the sentence: `model 'fm'`.
        what: what an entry is called: `setting`; by default nothing, or `entry` where it is unknown.
        section: what to put before the entry's name, with a dot.

    Returns:
        The sentence. Entries are dotted, and those of lists count from 1.
    """
    complaints = error.errors(include_url=False)
    # A misspelt name may be a missing one too, and is the better thing to say.
    first = next((c for c in complaints if c["type"] == "extra_forbidden"), complaints[0])
    steps = list(_steps(first["loc"], [model]))
    keys = [step.key for step in steps if step.is_key]
    entry = ".".join([*([section] if section else []), *(str(k + 1) if isinstance(k, int) else str(k) for k in keys)])
    named = f"{what} '{entry}'".lstrip() if entry else ""
    begin = f"{owner}: " if owner else ""
    if first["type"] == "extra_forbidden":
        hint = _hint(str(keys[-1]), steps[-1].types)
        if owner:
            return f"{owner} has no {what or 'entry'} '{entry}'{hint}"
        return f"unknown {what or 'entry'} '{entry}'{hint}"
    if first["type"] == "missing":
        return f"{begin}{named} is missing"
    if first["type"] == "union_tag_not_found":
        return f"{begin}{named or 'the whole'} lacks {first['ctx']['discriminator']}"
    if first["type"] == "union_tag_invalid":
        known = [tag.strip("' ") for tag in first["ctx"]["expected_tags"].split(",")]
        kind, tag = first["ctx"]["discriminator"].strip("'"), first["ctx"]["tag"]
        return f"{begin}{named + ': ' if named else ''}unknown {kind} '{_shown(tag)}'; {suggest(str(tag), known)}"
    # Of a union every member complains about the same entry; what each of them expects stands side by side.
    alike = [c for c in complaints if [s.key for s in _steps(c["loc"], [model]) if s.is_key] == keys]
    reason = _reason(first) if len(alike) == 1 else " or ".join(dict.fromkeys(map(_reason, alike)))
    reason = reason.replace(" or it must be ", " or ")
    value = first["input"]
    if _own_error(error) or (first["type"] in ("value_error", "assertion_error") and not _is_scalar(value)):
        return f"{begin}{named}: {reason}" if named else f"{begin}{reason}"
    return f"{begin}{named or 'the whole'} cannot be {_shown(repr(value))}: {reason}"


def describe_any(error: Exception, model: Any = None) -> str:
    """The first complaint of any error as one line.

    Args:
        error: what was raised.
        model: what was validated, as in `describe`.

    Returns:
        Of a pydantic error what `describe` has; of another error its first line.

    Example:
        >>> describe_any(ValueError("it is empty"))
        'it is empty'
    """
    if isinstance(error, ValidationError):
        return describe(error, model)
    if isinstance(error, OSError) and error.strerror and not isinstance(error, FieldwiseError):
        return error.strerror
    return (str(error) or type(error).__name__).splitlines()[0]


def _own_error(error: ValidationError) -> FieldwiseError | None:
    own = error.errors(include_url=False)[0].get("ctx", {}).get("error")
    return own if isinstance(own, FieldwiseError) else None


def _reason(complaint: Mapping[str, Any]) -> str:
    if complaint["type"] in ("value_error", "assertion_error"):
        return str(complaint["ctx"]["error"])  # our own words, as they are
    message = str(complaint["msg"])
    if message.startswith("Input should be "):
        return f"it must be {message.removeprefix('Input should be ').partition(', unable to parse')[0]}"
    return message[0].lower() + message[1:]


def _shown(text: str) -> str:
    text = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} ..."
    return "".join(c if c.isprintable() else " " for c in text)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | list | tuple | None)


# ---- where in a model an entry is


class _Step:
    """A part of an entry's place.

    key: the part. is_key: whether a file has it so; else it is what pydantic calls a member of a union.
    types: what the entry may be where this part is looked up.
    """

    def __init__(self, key: str | int, types: list[Any], *, is_key: bool) -> None:
        self.key, self.types, self.is_key = key, types, is_key


def _steps(place: Iterable[str | int], types: list[Any]) -> Iterator[_Step]:
    parts = list(place)
    for number, part in enumerate(parts):
        members = [member for one in types for member in _members(one)]
        tagged = [member for member in members if _tag(member) == part]
        inner = [child for member in members for child in _children(member, part)]
        last = number == len(parts) - 1
        if tagged and not inner:
            types = tagged
            yield _Step(part, members, is_key=False)
        elif inner or _unknown(members) or (last and any(_fields(member) is not None for member in members)):
            types = inner
            yield _Step(part, members, is_key=True)
        else:
            types = members
            yield _Step(part, members, is_key=False)


def _members(kind: Any) -> list[Any]:
    """The members of a union; the type itself where it is none."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        return [member for one in get_args(kind) for member in _members(one)]
    return [] if kind is type(None) else [kind]


def _fields(kind: Any) -> Mapping[str, Any] | None:
    return kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _unknown(members: list[Any]) -> bool:
    """Whether nothing is known of what an entry may be, so that all parts are taken for keys."""
    return not members or all(member is None or member is Any for member in members)


def _tag(kind: Any) -> str | None:
    """What pydantic calls a model in a union: by its discriminator, a field with one possible value."""
    for field in (_fields(kind) or {}).values():
        if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
            return str(get_args(field.annotation)[0])
    return kind.__name__ if isinstance(kind, type) else None


def _children(kind: Any, part: str | int) -> list[Any]:
    """What a part of a place may be, in a thing of this type."""
    fields = _fields(kind)
    if fields is not None:
        return [fields[part].annotation] if isinstance(part, str) and part in fields else []
    arguments = [argument for argument in get_args(kind) if argument is not Ellipsis]
    origin = get_origin(kind)
    if origin is tuple and isinstance(part, int) and len(arguments) > 1:
        return arguments[part : part + 1]
    if origin in (list, tuple, set, frozenset) and isinstance(part, int):
        return arguments[:1]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return arguments[1:]
    return []


def _hint(name: str, kinds: list[Any]) -> str:
    known = {field for kind in kinds for field in _fields(kind) or ()}
    return f"; {suggest(name, known)}" if known else ""
