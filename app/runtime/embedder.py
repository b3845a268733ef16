"""What embeds the store's values for search by meaning, as a langgraph.json names it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from langchain_core.embeddings import Embeddings
from langgraph.store.base import ensure_embeddings

from app.failures import Exit, Refused
from app.runtime.graph_config import load_object
from app.runtime.store_settings import Index


@dataclass(frozen=True)
class Embedder:
    """What makes vectors, and of which parts of a value."""

    model: Embeddings
    dimensions: int
    fields: Sequence[str]


def load_embedder(file: Path, index: Index) -> Embedder:
    return Embedder(_embeddings(file, index.embed), index.dims, index.fields)


def _embeddings(file: Path, name: str) -> Embeddings:
    """A function or object of the project as path/to/file.py:name, else provider:model as LangChain names it."""
    where = f"{file}: store.index.embed={name!r}"
    if name.rpartition(":")[0].endswith(".py"):
        found = load_object(file, where, name)
        if not isinstance(found, Embeddings) and not callable(found):
            raise Refused(f"{where}: is a {type(found).__name__}. Name a function from texts to vectors.")
        return ensure_embeddings(cast("Any", found))
    from langchain.embeddings import init_embeddings  # half a second that most projects need not wait for

    try:
        return init_embeddings(name)
    except ImportError as failure:
        raise Refused(f"{where}: its package is not installed: {failure}", Exit.MISSING) from None
    except Exception as failure:
        # The provider's own message may quote a key.
        raise Refused(
            f"{where}: {type(failure).__name__}. Write provider:model, and set the provider's key."
        ) from failure
