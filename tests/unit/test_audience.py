"""What the filters of all of an event's listeners may cost, wherever they are kept."""

from collections.abc import Mapping
from typing import Any

import pytest

from durian.audience import Audience
from durian.hook import Hook
from durian.match import parse
from tests.integration.site import registered
from tests.unit.match.test_effort import EXPLOSIVE, TEXT

PATTERNS = ["#", "person.*", "*.created", "*.*", "person.#", "#.created", "#.*", "*.#"]
LISTENERS = 40


def count_as_met(*hooks: str) -> int:
    """How many filters take too many steps on an event, of those whose listeners ask for these."""
    audience = Audience()
    for number in range(LISTENERS):
        form = {"a": {"$regex": f"{EXPLOSIVE}{number}"}}
        audience.put(number, hooks[number % len(hooks)], parse(form), form)
    return len(audience.matching("person.created", {"a": TEXT}))


def test_listeners_to_patterns_have_their_steps_with_all_others() -> None:
    together = count_as_met("person.created")
    assert 0 < together < LISTENERS
    assert count_as_met(*PATTERNS) == together


def test_filters_that_a_hook_asks_by_itself_have_their_steps_together() -> None:
    together = count_as_met("person.created")

    class Own(Hook):
        name = "person.created"

        def event_filter(
            self, sender: Any, payload: Mapping[str, Any], match_dict: Mapping[str, Any] | None
        ) -> bool:
            return super().event_filter(sender, payload, match_dict)

    with registered(Own()):
        assert count_as_met("person.created") == pytest.approx(together, abs=2)
