"""What the shop sells."""

from django.db import models


class Order(models.Model):
    """An order; `number` is the tests' own name for it, `card` is nobody's business."""

    number = models.PositiveIntegerField()
    customer = models.CharField(max_length=100)
    country = models.CharField(max_length=2)
    total = models.PositiveIntegerField()
    card = models.CharField(max_length=20, default="4111 1111")

    class Meta:
        app_label = "site"

    def __str__(self) -> str:
        return f"order {self.number}"
