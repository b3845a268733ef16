"""Logs say what happened and where, in one line each, and never what a user wrote."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.observability.logs import WITHHELD, JsonFormatter, logged_as
from app.settings import CHECKOUT

WORDS = "my dog is called Umlaufbahn"


@pytest.fixture
def library() -> Generator[tuple[logging.Logger, Callable[[], dict[str, Any]]]]:
    """A foreign library's logger, and the line it wrote."""
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("some.dependency")
    logger.addHandler(handler)
    yield logger, lambda: json.loads(written.getvalue())
    logger.removeHandler(handler)


Library = tuple[logging.Logger, Callable[[], dict[str, Any]]]


def test_a_message_that_stands_in_the_code_is_written_without_its_arguments(library: Library) -> None:
    logger, line = library
    logger.warning("could not read %s", WORDS)
    assert line()["event"] == "could not read %s"
    assert "at" not in line()


def put_into_an_f_string(logger: logging.Logger) -> None:
    logger.warning(f"could not read {WORDS}")  # noqa: G004  what libraries do


def added_to_a_text(logger: logging.Logger) -> None:
    logger.warning("could not read " + WORDS)  # noqa: G003  what libraries do


def an_exception(logger: logging.Logger) -> None:
    logger.warning(ValueError(WORDS))


def from_elsewhere(logger: logging.Logger) -> None:
    logger.warning(WORDS + " %s", "an argument")  # noqa: G003  what libraries do


def an_object(logger: logging.Logger) -> None:
    logger.warning({"words": WORDS})


@pytest.mark.parametrize("say", [put_into_an_f_string, added_to_a_text, an_exception, from_elsewhere, an_object])
def test_a_message_that_was_put_together_is_withheld_and_its_place_is_named(
    library: Library, say: Callable[[logging.Logger], None]
) -> None:
    logger, line = library
    say(logger)
    assert WORDS not in json.dumps(line())
    assert line()["event"] == WITHHELD
    assert line()["at"].endswith(say.__name__)
    assert (line()["level"], line()["logger"]) == ("WARNING", "some.dependency")


def test_an_exception_is_its_type_and_its_place(library: Library) -> None:
    logger, line = library
    try:
        raise ValueError(WORDS) from KeyError(WORDS)
    except ValueError as failure:
        failure.add_note(WORDS)
        logger.exception("failed")
    assert (line()["event"], line()["error"]) == ("failed", "ValueError")
    assert "test_logs.py" in line()["frames"][-1]
    assert WORDS not in json.dumps(line())


def test_only_our_own_code_adds_fields(library: Library) -> None:
    logger, line = library
    logger.warning("said", extra={"fields": {"words": WORDS}})
    assert WORDS not in json.dumps(line())
    record = logging.makeLogRecord({"name": "app.x", "msg": "said", "fields": {"status": 200}})
    assert json.loads(JsonFormatter().format(record))["status"] == 200


def test_our_own_messages_have_their_arguments(library: Library) -> None:
    logger, line = library
    logger.name = "app.x"
    logger.warning("wake-ups go through %s again", "valkey")
    logger.name = "some.dependency"
    assert line()["event"] == "wake-ups go through valkey again"


def test_a_line_names_request_thread_and_run_while_they_last(library: Library) -> None:
    logger, line = library
    with logged_as(request_id="r"), logged_as(thread_id="t", run_id="u"):
        logger.warning("said")
    assert (line()["request_id"], line()["thread_id"], line()["run_id"]) == ("r", "t", "u")
    assert "run_id" not in json.loads(JsonFormatter().format(logging.makeLogRecord({"name": "app.x"})))


# With lone surrogates, which are no UTF-8, and with numbers beyond 64 bits.
ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT, ANY_TEXT | st.integers())
def test_whatever_is_logged_is_one_line_of_json(message: str, value: str | int) -> None:
    fields = {"value": value, "object": object()}
    record = logging.makeLogRecord({"name": "app.x", "msg": message, "args": (value,), "fields": fields})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["value"] == value


# Everything that writes to the standard streams of a whole process, each as its library does it.
LEAKS = """
import asyncio, gc, logging, sys, threading, warnings
from typing import TypedDict

import httpx, uvicorn
from fastapi import FastAPI
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy
from pydantic import BaseModel

from app.observability.logs import configure_logging

WORDS = "my dog is called Umlaufbahn"
configure_logging("DEBUG")
logging.getLogger().setLevel(logging.DEBUG)
logging.getLogger("uvicorn").setLevel(logging.DEBUG)

class State(TypedDict):
    text: str

def fail(state):
    raise ConnectionError(state["text"])

class Order(BaseModel):
    number: int

class Broken(BaseCallbackHandler):
    def on_chain_start(self, *args, **kwargs):
        raise ValueError(WORDS)

class Unraisable:
    def __del__(self):
        raise ValueError(WORDS)

app = FastAPI()

@app.get("/{words}")
async def get(words: str):
    raise ValueError(words)

def a_graph_that_retries_and_fails():
    retry = RetryPolicy(initial_interval=0.001, jitter=False, max_attempts=2)
    graph = StateGraph(State).add_node("fail", fail, retry_policy=retry).add_edge(START, "fail").compile()
    try:
        graph.invoke({"text": WORDS})
    except ConnectionError:
        logging.getLogger("app.x").exception("a graph failed")

def a_callback_that_fails():
    RunnableLambda(lambda text: text).invoke(WORDS, {"callbacks": [Broken()]})

def pydantic():
    Order.model_construct(number=WORDS).model_dump()

def a_warning_of_a_graph():
    warnings.warn(WORDS)

def a_thread():
    thread = threading.Thread(target=fail, args=({"text": WORDS},))
    thread.start()
    thread.join()

def a_finalizer():
    Unraisable()
    gc.collect()

def arguments_that_do_not_fit():
    logging.getLogger("psycopg.pool").warning("%d connections", WORDS)

async def tasks():
    async def lost():
        raise ValueError(WORDS)
    task = asyncio.create_task(lost(), name=WORDS)
    await asyncio.sleep(0)
    del task
    gc.collect()
    asyncio.get_running_loop().call_soon(fail, {"text": WORDS})
    asyncio.get_running_loop().call_exception_handler({"message": WORDS})
    await asyncio.sleep(0)

async def a_server():
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{port}/{WORDS}?q={WORDS}")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(WORDS.encode() + b"\\r\\n\\r\\n")
    await reader.read()
    writer.close()
    server.should_exit = True
    await serving

a_graph_that_retries_and_fails()
a_callback_that_fails()
pydantic()
a_warning_of_a_graph()
a_thread()
a_finalizer()
arguments_that_do_not_fit()
asyncio.run(tasks())
asyncio.run(a_server())
raise ValueError(WORDS)
"""


def test_no_library_and_no_part_of_python_writes_a_users_words() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAKS],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONASYNCIODEBUG": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Umlaufbahn" not in done.stdout
    assert done.stderr == ""
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]

    def errors(event: str) -> list[str]:
        return [line.get("error", "") for line in lines if line["event"] == event]

    # Each of them did speak.
    assert errors("a graph failed") == ["ConnectionError"]
    assert any(line["logger"].startswith("langgraph") and line["event"] == WITHHELD for line in lines)
    assert "Error in %s.%s callback: %s" in {line["event"] for line in lines}
    assert [line["category"] for line in lines if line["event"] == "a warning"] == ["UserWarning", "UserWarning"]
    assert errors("an uncaught exception") == ["ConnectionError", "ValueError", "ValueError"]
    assert errors("Task exception was never retrieved") == ["ValueError"]
    assert any(line["logger"] == "asyncio" and line["event"] == WITHHELD for line in lines)
    assert errors("Exception in ASGI application") == ["ValueError"]
    assert "Invalid HTTP request received." in {line["event"] for line in lines}
