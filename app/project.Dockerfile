# A LangGraph project as a layer on the service image. The context is the project's own folder:
#   docker build -f app/project.Dockerfile --build-arg SERVICE=repository@sha256:… -t NAME path/to/project
# CONFIG is its langgraph.json, relative to that folder. A private package index: --secret id=pip,src=pip.conf.
# System packages: an image of your own that is FROM the service image, given as SERVICE.
ARG SERVICE

FROM ${SERVICE} AS build
ARG CONFIG=langgraph.json
USER 0
COPY . /context
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python -m app.image.project /context "${CONFIG}" /project /packages

FROM ${SERVICE}
ARG CONFIG=langgraph.json
# Only what app/image/project.py has taken over: never .git, .env or the env file, whatever the context held.
COPY --from=build /project /project
COPY --from=build /packages /venv
WORKDIR /project
ENV AGENT_CONFIG=/project/${CONFIG}
