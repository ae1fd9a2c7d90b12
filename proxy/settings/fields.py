"""What keys there are at a path of the configuration, read off the models."""

import types
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from proxy.settings.expectation import Kind
from proxy.settings.problem import KeyPath
from proxy.settings.schema import Settings
from proxy.settings.section import Section

# A type, or one of typing's many forms of one, which share no class.
Annotation: TypeAlias = Any


def fields_at(path: KeyPath) -> Mapping[str, FieldInfo]:
    """Return the keys that may stand at `path`; nothing where names are free or no keys belong."""
    annotation: Annotation = Settings
    for part in path:
        annotation = _below(annotation, part)
    annotation = bare(annotation)
    return annotation.model_fields if is_section(annotation) else {}


def is_section(annotation: Annotation) -> bool:
    """Return whether `annotation` is one of the schema's models."""
    return isinstance(annotation, type) and issubclass(annotation, Section)


def bare(annotation: Annotation) -> Annotation:
    """Return `annotation` without what `Annotated` and `| None` add."""
    while True:
        if origin_of(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif origin_of(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation):
            annotation = next(part for part in get_args(annotation) if part is not type(None))
        else:
            return annotation


def kind_of(annotation: Annotation, metadata: tuple[object, ...] = ()) -> str | None:
    """Return what the type of a value is called, or None if it has no name of its own."""
    if origin_of(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if origin_of(annotation) is Annotated:
        metadata = (*get_args(annotation)[1:], *metadata)
    return next((item.name for item in metadata if isinstance(item, Kind)), None)


def element(annotation: Annotation) -> Annotation:
    """Return the type of what a list or mapping holds, or None for anything else."""
    annotation = bare(annotation)
    if origin_of(annotation) is tuple:
        return get_args(annotation)[0]
    return get_args(annotation)[1] if origin_of(annotation) is Mapping else None


def origin_of(annotation: Annotation) -> object:
    """Return `get_origin` of it, whose declared type leaves out most of what it returns."""
    return get_origin(annotation)


def _below(annotation: Annotation, part: str | int) -> Annotation:
    annotation = bare(annotation)
    if is_section(annotation):
        field = annotation.model_fields.get(part)
        return None if field is None else field.annotation
    return element(annotation)
