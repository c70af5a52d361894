"""Spare dbt, in the process of the tests, what it does over and over for nothing.

All that dbt renders, runs, prints and returns stays as it is; a process of its own has nothing of this.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from dbt.artifacts.schemas import base as artifacts
from dbt.clients.jinja import MacroGenerator
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt_common import behavior_flags
from dbt_common.clients.jinja import MacroFuzzEnvironment
from dbt_common.constants import SECRET_ENV_PREFIX
from dbt_common.events import base_types, functions, logger
from dbt_common.utils.encoding import JSONEncoder
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

_build_namespace = MacroNamespaceBuilder.build_namespace
_write_line = logger._Logger.write_line
_compile = MacroFuzzEnvironment.compile
_compiled: dict[Any, Any] = {}
_parse = MacroFuzzEnvironment.parse
_parsed: dict[Any, Any] = {}


def _message_of(values: dict[str, Any], message: Message) -> Message:
    """Make an event's message in C, where nothing has to be converted; dbt's way is written in Python."""
    try:
        if "ts" in (info := values.get("info", {})):
            info = info | {"ts": Timestamp()}
            info["ts"].FromJsonString(values["info"]["ts"])
            return type(message)(info=info)
        return type(message)(**values)
    except (AttributeError, TypeError, ValueError):
        return json_format.ParseDict(values, message)


def _write_what_is_kept(writer: logger._Logger, message: Any) -> None:
    """Write a line; dbt puts each together that the level of the log then throws away."""
    kept = writer._python_logger
    throws_away = kept is not None and not kept.isEnabledFor(logging.DEBUG)
    if throws_away and message.info.level in ("debug", "test") and not logger._is_print_event(message):
        return
    _write_line(writer, message)


def _flat(namespace: MacroNamespace) -> dict[str, Any]:
    """All names of a namespace; dbt looks for each one, for each node, in five dictionaries."""
    found: dict[str, Any] | None = namespace.__dict__.get("_flat")
    if found is None:
        found = {}
        for names in reversed([*namespace._search_order()]):
            found.update(names)
        namespace.__dict__["_flat"] = found
    return found


def _namespace_of(
    builder: MacroNamespaceBuilder, macros_by_package: dict[str, dict[str, Any]], ctx: dict[str, Any]
) -> MacroNamespace:
    """Make all macros ready for a node; dbt does so with four calls for each of hundreds of macros."""
    node, stack, new = builder.node, builder.thread_ctx, MacroGenerator.__new__
    for package, macros in macros_by_package.items():
        ready = {}
        for name, macro in macros.items():
            ready[name] = generator = new(MacroGenerator)
            generator.macro, generator.context = macro, ctx
            generator.node, generator.stack = node, stack
        if package in builder.internal_package_names:
            builder.internal_packages[package] = ready
            continue
        builder.packages[package] = ready
        if package == builder.search_package:
            builder.locals.update(ready)
        elif package == builder.root_package:
            builder.globals.update(ready)
    return _build_namespace(builder, {}, ctx)


def _compile_once(environment: MacroFuzzEnvironment, source: Any, *arguments: Any, **options: Any) -> Any:
    """Compile a template; the same text comes again with each run, and often within one."""
    if not isinstance(source, str):
        return _compile(environment, source, *arguments, **options)
    key = (type(environment), *environment.extensions, source, *arguments, *options.items())
    if key not in _compiled:
        _compiled[key] = _compile(environment, source, *arguments, **options)
    return _compiled[key]


def _parse_once(environment: MacroFuzzEnvironment, source: Any, *arguments: Any, **options: Any) -> Any:
    """Parse a template; dbt does so twice for each macro, again for other variables, and only reads it."""
    key = (type(environment), *environment.extensions, source, *arguments, *options.items())
    if key not in _parsed:
        _parsed[key] = _parse(environment, source, *arguments, **options)
    return _parsed[key]


def _module_that_asks() -> str:
    """Name the module that makes a flag; dbt looks at the source of each frame, and a test has many."""
    frame = sys._getframe(1)
    while frame.f_globals["__name__"] == behavior_flags.__name__ and frame.f_back:
        frame = frame.f_back
    return str(frame.f_globals["__name__"])


def _write_json(path: str, values: Any) -> bool:
    """Write JSON that C has put together; dbt has it put together piece by piece in Python."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values, cls=JSONEncoder), encoding="utf-8")
    return True


def _env_secrets() -> list[str]:
    """The secrets of the environment; dbt decodes all of it for each event."""
    names = [name for name in [*os.environ] if name.startswith(SECRET_ENV_PREFIX)]
    return [os.environ[name] for name in names if os.environ[name].strip()]


base_types.ParseDict = _message_of  # type: ignore[attr-defined]
artifacts.write_json = _write_json  # type: ignore[attr-defined]
functions.env_secrets = _env_secrets  # type: ignore[attr-defined]
logger._Logger.write_line = _write_what_is_kept  # type: ignore[method-assign]
MacroNamespace.__getitem__ = lambda namespace, name: _flat(namespace)[name]  # type: ignore[method-assign]
MacroNamespace.__iter__ = lambda namespace: iter(_flat(namespace))  # type: ignore[method-assign]
MacroNamespaceBuilder.build_namespace = _namespace_of  # type: ignore[method-assign]
MacroFuzzEnvironment.compile = _compile_once  # type: ignore[method-assign]
MacroFuzzEnvironment.parse = _parse_once  # type: ignore[method-assign]
behavior_flags.BehaviorFlagRendered._default_source = staticmethod(_module_that_asks)  # type: ignore[method-assign]
