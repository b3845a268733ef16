"""The review of an infrastructure change: what it does, what is dangerous in it, what it violates and costs."""
