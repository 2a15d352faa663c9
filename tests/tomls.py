"""Studies as the files that people write."""

import json
from typing import Any

from common.study import Study


def toml(study: Study) -> str:
    """Return *study* as TOML."""
    document = study.model_dump(mode="json", exclude_none=True)
    return "\n".join(f"{name} = {_value(each)}" for name, each in document.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inner = (f"{json.dumps(name)} = {_value(each)}" for name, each in value.items())
        return f"{{ {', '.join(inner)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)
