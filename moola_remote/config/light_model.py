"""Models of what is read from outside, which import pydantic only where a look does not suffice.

Importing pydantic and building its models took a third of a command's CPU, and nearly all that is
read is plainly right. So a `LightModel` looks first: values of just the declared types and within
their limits are taken as they are. Of any others pydantic decides, by the same annotations: it
converts them, or says what is wrong. A test holds that both come to the same.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from moola_remote.config.marks import Doubt, Look, look_of

if TYPE_CHECKING:
    from pydantic import BaseModel, GetCoreSchemaHandler
    from pydantic_core import CoreSchema, ErrorDetails
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[Any], Any]:
        """Tell type checkers alone."""
        return lambda cls: cls


@dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field,)
)
class LightModel:
    """The base of such a model: frozen; its methods are named, and do, as those of pydantic's.

    `extra` says what becomes of keys that are not declared: they are passed over, or refused.
    """

    extra: ClassVar[Literal["ignore", "forbid"]] = "ignore"
    # What is declared, in order, with the annotation.
    model_fields: ClassVar[dict[str, str]] = {}
    model_fields_set: ClassVar[frozenset[str]] = frozenset()
    _looks: ClassVar[dict[str, Look] | None] = None
    _model: ClassVar[type[BaseModel] | None] = None

    def __init_subclass__(cls) -> None:
        own = {
            name: kind
            for name, kind in cls.__annotations__.items()
            if not kind.startswith("ClassVar")
        }
        cls.model_fields = {**cls.model_fields, **own}

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(self._made(self._values(values), values).__dict__)

    @classmethod
    def model_validate(cls, value: Any) -> Self:
        """Return the model of a table.

        Raises:
            pydantic.ValidationError: a key is missing, or its value is wrong.
        """
        if isinstance(value, cls):
            return value
        return cls._made(cls._values(value), value)

    @classmethod
    def look(cls, value: Any) -> LightModel:
        """Return the model of a plain table; see `look_of`."""
        return value if isinstance(value, cls) else cls._made(cls._seen(value), value)

    @classmethod
    def _made(cls, values: Mapping[str, Any], table: Any) -> Self:  # noqa: ARG003 - for heirs
        """Return the model of checked `values`, which were read of `table`."""
        made = cls.__new__(cls)
        made.__dict__.update(values)
        return made

    @classmethod
    def _values(cls, table: Any) -> dict[str, Any]:
        """Return all fields of a table, and which of them it sets."""
        try:
            return cls._seen(table)
        except (Doubt, ValueError):
            return cls._asked(cls._pydantic().model_validate(table))

    @classmethod
    def _seen(cls, table: Any) -> dict[str, Any]:
        """Return the same by a look."""
        if type(table) is not dict:
            raise Doubt
        looks = cls._compiled()
        found = {}
        for key, value in table.items():
            if key in looks:
                found[key] = looks[key](value)
            elif cls.extra == "forbid" or type(key) is not str:
                raise Doubt
        return {**cls._defaults(found), **found, "model_fields_set": frozenset(found)}

    @classmethod
    def _defaults(cls, found: Collection[str]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name in cls.model_fields:
            if name in found:
                values[name] = None  # in the order of the fields
                continue
            try:
                default = getattr(cls, name)
            except AttributeError:
                raise Doubt from None
            is_made = isinstance(default, dataclasses.Field)
            values[name] = default.default_factory() if is_made else default
        return values

    @classmethod
    def _compiled(cls) -> dict[str, Look]:
        if cls.__dict__.get("_looks") is None:
            cls._looks = {name: look_of(kind) for name, kind in cls._kinds().items()}
        return cls._looks or {}

    @classmethod
    def _kinds(cls) -> dict[str, Any]:
        """Return the annotations, as types."""
        names = vars(sys.modules[cls.__module__])
        # Text of the source, not of the outside: what typing.get_type_hints does, without its cost.
        return {name: eval(kind, names) for name, kind in cls.model_fields.items()}  # noqa: S307

    @classmethod
    def _pydantic(cls) -> type[BaseModel]:
        """Return the same as a model of pydantic's."""
        model: type[BaseModel] | None = cls.__dict__.get("_model")
        if model is None:
            import moola_remote.config.no_plugins  # noqa: F401, I001
            from pydantic import ConfigDict, Field, create_model

            fields: dict[str, Any] = {}
            for name, kind in cls._kinds().items():
                default = getattr(cls, name, ...)
                if isinstance(default, dataclasses.Field):
                    default = Field(default_factory=default.default_factory)  # type: ignore[arg-type]
                fields[name] = (kind, default)
            config = ConfigDict(extra=cls.extra, frozen=True, protected_namespaces=())
            cls._model = model = create_model(
                cls.__name__, __config__=config, __module__=cls.__module__, **fields
            )
        return model

    @classmethod
    def _asked(cls, model: BaseModel) -> dict[str, Any]:
        values = {name: getattr(model, name) for name in cls.model_fields}
        return {**values, "model_fields_set": frozenset(model.model_fields_set)}

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of a field of this type, in a model of pydantic's."""
        from pydantic_core import core_schema

        def take(value: Any, validate: Callable[[Any], Any]) -> LightModel:
            if isinstance(value, cls):
                return value
            return cls._made(cls._asked(validate(value)), value)

        dump = core_schema.plain_serializer_function_ser_schema(
            lambda made, info: made.model_dump(mode=info.mode), info_arg=True
        )
        inner = handler.generate_schema(cls._pydantic())
        return core_schema.no_info_wrap_validator_function(take, inner, serialization=dump)

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """Return a copy with other values, which are not checked."""
        changed = {**self.__dict__, **update}
        changed["model_fields_set"] = frozenset({*self.model_fields_set, *update})
        return self._made(changed, changed)

    def model_dump(
        self, *, mode: str = "python", exclude: Collection[str] = (), exclude_unset: bool = False
    ) -> dict[str, Any]:
        """Return the fields as a table; as JSON has them, where that is the `mode`."""
        names = self.model_fields_set if exclude_unset else self.model_fields
        kept = [name for name in self.model_fields if name in names and name not in exclude]
        return {name: _dumped(getattr(self, name), mode, exclude_unset) for name in kept}

    def model_dump_json(self, *, exclude: Collection[str] = ()) -> str:
        """Return the fields as JSON; NaN and infinity become null."""
        table = _finite(self.model_dump(mode="json", exclude=exclude))
        return json.dumps(table, separators=(",", ":"), ensure_ascii=False)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.model_fields)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.model_fields))

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return ((name, getattr(self, name)) for name in self.model_fields)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.model_fields)
        return f"{type(self).__name__}({fields})"


def faults(err: ValueError) -> list[ErrorDetails]:
    """Return what `model_validate` found wrong, as pydantic lists it."""
    from pydantic_core import ValidationError

    if not isinstance(err, ValidationError):
        raise err
    return err.errors(include_url=False, include_context=False)


def _dumped(value: Any, mode: str, exclude_unset: bool) -> Any:
    if isinstance(value, LightModel):
        return value.model_dump(mode=mode, exclude_unset=exclude_unset)
    if isinstance(value, list):
        return [_dumped(item, mode, exclude_unset) for item in value]
    if isinstance(value, dict):
        return {key: _dumped(item, mode, exclude_unset) for key, item in value.items()}
    return str(value) if mode == "json" and isinstance(value, Path) else value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
