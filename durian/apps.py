"""The Django app."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class DurianConfig(AppConfig):
    """durian in INSTALLED_APPS."""

    name = "durian"
    verbose_name = "Webhooks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Hide passwords, connect the outbox with the relay, find the `hooks` of every app."""
        # App loading: these need the models, which are not there when this module is imported.
        from durian import background, checks, conf

        conf.hide_passwords()
        checks.register_all()
        background.install()
        autodiscover_modules("hooks")
