"""The HTTP interface; routers translate between JSON and one call into the runtime."""
