"""Labels by which objects of the service find each other."""

SERVICE_NAME = "agent"
SERVICE_LABELS = {"app.kubernetes.io/name": SERVICE_NAME}
