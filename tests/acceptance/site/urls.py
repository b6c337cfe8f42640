"""The shop's addresses."""

from django.urls import path

from tests.acceptance.site.actions import act

urlpatterns = [path("<slug:name>/", act)]
