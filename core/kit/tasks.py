"""Tasks that run for as long as their process."""

import asyncio


def cancelled() -> bool:
    """Whether this task was asked to end. Loops look, for redis-py often swallows the cancellation itself (Python 3.11)."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
