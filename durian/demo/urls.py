"""The demo's addresses."""

from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.urls import include, path
from django.views.generic import RedirectView

from durian.demo.inbox import inbox

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="durian:list")),
    path("webhooks/", include("durian.urls")),
    path("login/", LoginView.as_view(template_name="admin/login.html"), name="login"),
    path("admin/", admin.site.urls),
    path("inbox/<slug:name>/", inbox, name="inbox"),
]
