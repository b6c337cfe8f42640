"""The same order as durian's shop has."""

from django.db import models


class Order(models.Model):
    """An order."""

    number = models.PositiveIntegerField()
    customer = models.CharField(max_length=100)
    country = models.CharField(max_length=2)
    total = models.PositiveIntegerField()
    card = models.CharField(max_length=20, default="4111 1111")

    class Meta:
        app_label = "site"
