"""The peer's site: django-webhook with Celery, as its documents say, in an environment of its own.

Nothing here imports durian, and nothing of durian's environment imports this, but `runner`.
"""
