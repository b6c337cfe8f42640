"""The addresses of the pages: `path("hooks/", include("durian.urls"))`, or a DurianSite's."""

from collections.abc import Sequence

from django.urls import URLPattern, URLResolver, path

from durian.web import edit, listeners
from durian.web.dead import DeadLetters
from durian.web.debug import debug

app_name = "durian"

urlpatterns = [
    path("", listeners.ListListeners.as_view(), name="list"),
    path("select/", edit.SelectHook.as_view(), name="select"),
    path("create/", edit.CreateListener.as_view(), name="create"),
    path("debug/", debug, name="debug"),
    path("dead/", DeadLetters.as_view(), name="dead"),
    path("<int:pk>/", listeners.ShowListener.as_view(), name="show"),
    path("<int:pk>/edit/", edit.EditListener.as_view(), name="edit"),
    path("<int:pk>/pause/", listeners.PauseListener.as_view(), name="pause"),
    path("<int:pk>/resume/", listeners.ResumeListener.as_view(), name="resume"),
    path("<int:pk>/delete/", listeners.DeleteListener.as_view(), name="delete"),
    path("<int:pk>/rotate/", listeners.RotateSecret.as_view(), name="rotate"),
    path("<int:pk>/secret/", listeners.ShowSecret.as_view(), name="secret"),
    path(
        "<int:pk>/deliveries/<uuid:delivery>/",
        listeners.ShowDelivery.as_view(),
        name="delivery",
    ),
]


class DurianSite:
    """The pages under a namespace of their own, for a site that mounts them twice.

    `path("partners/", include(DurianSite("partners").urls))`
    """

    def __init__(self, namespace: str | None = None, app_name: str = app_name) -> None:
        self.namespace = namespace or app_name
        self.app_name = app_name

    @property
    def urls(self) -> Sequence[URLPattern | URLResolver]:
        """What Django's `include` takes."""
        return [path("", (urlpatterns, self.app_name, self.namespace))]
