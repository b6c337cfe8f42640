"""The demo's Django app."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """People and orders."""

    name = "durian.demo"
    label = "durian_demo"
    verbose_name = "Demo shop"
    default_auto_field = "django.db.models.BigAutoField"
