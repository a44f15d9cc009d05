"""The parameters that a file may set are the keyword-only parameters of a function: of a gate, of a scorer."""

import inspect
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.alias_generators import to_camel


def parameter_model(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    """A strict model of the function's keyword-only parameters, so that they are checked as specs are.

    Keys are camelCase in files and snake_case in the function; unknown ones are refused. An underscore at a name's end
    (`schema_`) is no part of the key.
    """
    signature = inspect.signature(function, eval_str=True)
    fields: dict[str, Any] = {
        key: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
        for key, parameter in signature.parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=_key)
    return create_model(f"{name} parameters", __config__=config, **fields)


def _key(name: str) -> str:
    return to_camel(name.rstrip("_"))
