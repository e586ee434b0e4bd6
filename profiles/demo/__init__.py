"""An empty database → the people of a made-up shop with their histories, so that there is something to look at."""

from collections.abc import Callable, Iterator

from django.utils.module_loading import import_string

# Dotted paths, so that only ``manage.py demo`` imports the functions.
_steps: list[str] = []


def add_demo_step(path: str) -> None:
    """Let ``manage.py demo`` call a function of another app behind its own steps; for ``AppConfig.ready()``.

    The function takes nothing and returns the sentence to print.
    """
    if path not in _steps:
        _steps.append(path)


def demo_steps() -> Iterator[Callable[[], str]]:
    return map(import_string, _steps)
