# A LangGraph project as a layer on the service image. The context is the project's own folder:
#   docker build -f app/project.Dockerfile --build-arg SERVICE=repository@sha256:… -t NAME path/to/project
# CONFIG is its langgraph.json, relative to that folder. A private package index: --secret id=pip,src=pip.conf.
# System packages: an image of your own that is FROM the service image, given as SERVICE.
ARG SERVICE
FROM ${SERVICE}
ARG CONFIG=langgraph.json
USER 0
# Mounted, not copied: only what app/image/project.py takes over is in the layer; never .git, .env or the env file.
RUN --mount=type=bind,target=/context \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python -m app.image.project /context "${CONFIG}" /project
WORKDIR /project
ENV AGENT_CONFIG=/project/${CONFIG}
USER 10001
