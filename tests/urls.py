"""The URLs of the tests' site."""

from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.urls import include, path

from durian.urls import DurianSite

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/login/", LoginView.as_view(template_name="admin/login.html"), name="login"),
    path("hooks/", include("durian.urls")),
    path("partners/", include(DurianSite("partners", app_name="partner_hooks").urls)),
]
