"""Our rules as GrowthBook's SDKs read them: without declared types, so with operators of their own for versions."""

from collections.abc import Mapping
from typing import Any

_OPERATOR_ON_VERSIONS = {
    "$eq": "$veq", "$ne": "$vne", "$lt": "$vlt", "$lte": "$vlte", "$gt": "$vgt", "$gte": "$vgte",
}


def condition_of(rule: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    """The condition that holds for whom the rule holds; the rule has passed the checks for local evaluation."""
    return {key: _clause(key, operand, types) for key, operand in rule.items()}


def _clause(key: str, operand: Any, types: Mapping[str, str]) -> Any:
    if key in ("$and", "$or"):
        return [condition_of(condition, types) for condition in operand]
    if key == "$not":
        return condition_of(operand, types)
    return _of_version(operand) if types[key] == "version" else operand


def _of_version(operand: Any) -> Any:
    if isinstance(operand, str):
        return {"$veq": operand}
    if not isinstance(operand, Mapping):
        return operand
    return dict(_operator(name, argument) for name, argument in operand.items())


def _operator(name: str, argument: Any) -> tuple[str, Any]:
    if name == "$not":
        return name, _of_version(argument)
    # As a version, null would be version 0.
    return name if argument is None else _OPERATOR_ON_VERSIONS.get(name, name), argument
