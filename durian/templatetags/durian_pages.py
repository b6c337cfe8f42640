"""`{% load durian_pages %}`: addresses, and what is shown as text."""

from typing import Any

from django import template
from django.template.context import RequestContext

from durian.web.deliveries import as_text
from durian.web.page import reverse_beside
from durian.web.typed import write

register = template.Library()


@register.simple_tag(takes_context=True)
def page(context: RequestContext, name: str, *args: Any) -> str:
    """Return the address of another page of durian, wherever and however often it is mounted."""
    return reverse_beside(context.request, name, *args)


register.filter("as_json", write)
register.filter("as_text", as_text)
