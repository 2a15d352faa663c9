"""Reads a TOML file into a frozen model, or says what is wrong with it, and where."""

import tomllib
import typing
from pathlib import Path

from pydantic import BaseModel, ValidationError

from common.errors import StudyError
from common.written import slips

Model = typing.TypeVar("Model", bound=BaseModel)


def read(path: Path, model: type[Model], then: str) -> Model:
    """Return *path* as a *model*; *then* is the command to run once it is mended.

    Raises StudyError with file, line, cause and fix for anything that does not fit.
    """
    text = _text(path, model, then)
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as broken:
        what = f"{path.name} is not valid TOML: {str(broken).lower()}"
        raise StudyError(what, where=str(path), then=then) from None
    except ValidationError as invalid:
        raise slips.explained(path, text, model, invalid, then) from None


def _text(path: Path, model: type[BaseModel], then: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        what = f"there is no file {path}"
        raise StudyError(what, fix=f"check the path; {_begin(model)}") from None
    except (OSError, UnicodeDecodeError) as broken:
        what = f"{path} cannot be read as UTF-8 text ({type(broken).__name__})"
        raise StudyError(what, then=then) from None


def _begin(model: type[BaseModel]) -> str:
    """Return how a file of this kind comes into being."""
    if model.__name__ == "Study":
        return "`consilium study new NAME` writes a study to start from"
    return "docs/files.md says what stands in it"
