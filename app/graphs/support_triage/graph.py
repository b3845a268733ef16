"""Classify → look up → answer → judge the sentiment → escalate or finish."""

from __future__ import annotations

from typing import Annotated, Literal

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime
from typing_extensions import TypedDict  # pydantic makes no schema of typing.TypedDict before Python 3.12

from app.graphs.support_triage.knowledge import shipped
from app.models.engine import Label, LocalEngine, Passage, Reply, ServiceContext
from app.models.sentiment import Feeling, feeling

# Of tests/unit/support_questions.json 57 of 66 reach it and 53 of those find the right article; below it 6 of 9 do.
CONFIDENT = 0.25
UPSET = -0.5  # VADER's compound score; a plain "it does not work" is about -0.3


class Intent(TypedDict):
    name: str
    confidence: float


class Source(TypedDict):
    id: str
    title: str
    score: float


class Answer(TypedDict):
    text: str
    sources: list[Source]
    confidence: float
    engine: Label


class Sentiment(TypedDict):
    label: Feeling
    score: float


class Escalation(TypedDict):
    reasons: list[str]


class Input(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


class State(Input):
    """Text of users and answers lives in messages and objects only: bare strings would be stored as readable JSON."""

    intent: Intent
    sources: list[Source]
    answer: Answer
    sentiment: Sentiment
    escalation: Escalation | None


def question_of(messages: list[AnyMessage]) -> str:
    """The user's last words."""
    return next((message.text for message in reversed(messages) if isinstance(message, HumanMessage)), "")


def classify(state: State) -> dict[str, object]:
    name, confidence = shipped().intent(question_of(state["messages"]))
    # A thread's earlier turn must not show through in this one.
    return {"intent": Intent(name=name, confidence=round(confidence, 3)), "sources": [], "escalation": None}


def needs_knowledge(state: State) -> Literal["look_up", "answer"]:
    return "answer" if state["intent"]["name"] in shipped().replies else "look_up"


def look_up(state: State) -> dict[str, object]:
    found = shipped().look_up(question_of(state["messages"]))
    return {"sources": [Source(id=passage.id, title=passage.title, score=passage.score) for passage in found]}


async def answer(state: State, runtime: Runtime[ServiceContext]) -> dict[str, object]:
    prepared = shipped().replies.get(state["intent"]["name"])
    if prepared is not None:
        reply = await LocalEngine().reply([], [_passage(prepared)])
        sources, confidence = [], state["intent"]["confidence"]
    else:
        sources = [source for source in state["sources"] if source["score"] >= CONFIDENT]
        confidence = state["sources"][0]["score"] if state["sources"] else 0.0
        reply = await _ask(state["messages"], sources, runtime.context)
    given = Answer(text=reply.text, sources=sources, confidence=confidence, engine=reply.label)
    metadata = {"engine": reply.label, "sources": sources, "confidence": confidence}
    return {"answer": given, "messages": [AIMessage(reply.text, response_metadata=metadata)]}


def judge_sentiment(state: State) -> dict[str, object]:
    label, score = feeling(question_of(state["messages"]))
    return {"sentiment": Sentiment(label=label, score=score)}


def needs_person(state: State) -> Literal["escalate", "__end__"]:
    return "escalate" if _reasons(state) else "__end__"


def escalate(state: State) -> dict[str, object]:
    return {"escalation": Escalation(reasons=_reasons(state))}


def _reasons(state: State) -> list[str]:
    reasons: list[str] = []
    if state["intent"]["name"] == "human":
        reasons.append("asked for a person")
    if state["intent"]["name"] not in shipped().replies and state["answer"]["confidence"] < CONFIDENT:
        reasons.append("no confident answer")
    if state["sentiment"]["score"] <= UPSET:
        reasons.append("upset")
    return reasons


async def _ask(messages: list[AnyMessage], sources: list[Source], context: ServiceContext | None) -> Reply:
    articles = shipped().articles
    passages = [
        Passage(source["id"], source["title"], articles[source["id"]].answer, source["score"]) for source in sources
    ]
    conversation: list[BaseMessage] = list(messages)
    # Other LangGraph servers run this graph without a context.
    return await (context or ServiceContext()).engine.reply(conversation, passages)


def _passage(text: str) -> Passage:
    return Passage(id="prepared", title="", text=text, score=1.0)


graph = (
    StateGraph(State, context_schema=ServiceContext, input_schema=Input)
    .add_node(classify)
    .add_node(look_up)
    .add_node(answer)
    .add_node(judge_sentiment)
    .add_node(escalate)
    .add_edge(START, "classify")
    .add_conditional_edges("classify", needs_knowledge)
    .add_edge("look_up", "answer")
    .add_edge("answer", "judge_sentiment")
    .add_conditional_edges("judge_sentiment", needs_person)
    .add_edge("escalate", END)
    .compile(name="support_triage")
)
