"""The settings of the acceptance tests' shop; sabotaged when the environment says so."""

import os

from tests.acceptance.site import settings as shop
from tests.acceptance.site.settings import *  # noqa: F403

INSTALLED_APPS = list(shop.INSTALLED_APPS)
if os.environ.get("DURIAN_CHAOS_SABOTAGE"):
    INSTALLED_APPS.append("tests.chaos.sabotage.SabotageConfig")
