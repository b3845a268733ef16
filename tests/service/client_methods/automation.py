"""Crons and the store."""

from tests.service.client_methods.registry import not_supported

not_supported("crons.create", "crons", assistant_id="steps", schedule="* * * * *")
not_supported("crons.create_for_thread", "crons", thread_id="t", assistant_id="steps", schedule="* * * * *")
not_supported("crons.update", "crons", cron_id="c", enabled=False)
not_supported("crons.delete", "crons", cron_id="c")
not_supported("crons.search", "crons")
not_supported("crons.count", "crons")
not_supported("store.put_item", "store", ["a"], key="k", value={})
not_supported("store.get_item", "store", ["a"], key="k")
not_supported("store.delete_item", "store", ["a"], key="k")
not_supported("store.search_items", "store", ["a"])
not_supported("store.list_namespaces", "store")
