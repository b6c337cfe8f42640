"""The filter language: which events a listener wants."""

from durian.errors import InvalidFilter
from durian.match.choices import (
    CONDITION_CONTAINS,
    CONDITION_ENDSWITH,
    CONDITION_EXACT,
    CONDITION_LIKE,
    CONDITION_PASS,
    CONDITION_STARTSWITH,
    CONST_TO_MATCHABLE,
    MATCHABLE_CHOICES,
    const_to_matchable,
    mtuplelist_to_matchdict,
)
from durian.match.conditions import Any, Contains, Is
from durian.match.filter import Filter
from durian.match.index import FilterIndex
from durian.match.jsonform import deepmatch, parse, to_json
from durian.match.texts import Endswith, Like, Startswith

__all__ = [
    "CONDITION_CONTAINS",
    "CONDITION_ENDSWITH",
    "CONDITION_EXACT",
    "CONDITION_LIKE",
    "CONDITION_PASS",
    "CONDITION_STARTSWITH",
    "CONST_TO_MATCHABLE",
    "MATCHABLE_CHOICES",
    "Any",
    "Contains",
    "Endswith",
    "Filter",
    "FilterIndex",
    "InvalidFilter",
    "Is",
    "Like",
    "Startswith",
    "const_to_matchable",
    "deepmatch",
    "mtuplelist_to_matchdict",
    "parse",
    "to_json",
]
