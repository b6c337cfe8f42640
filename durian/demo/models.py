"""What the demo's shop knows of."""

from django.db import models


class Person(models.Model):
    """A customer; `secret` is for nobody else."""

    name = models.CharField(max_length=200)
    address = models.CharField(max_length=200)
    secret = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name_plural = "people"

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    """What a customer bought; `total` is in whole euros."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE)
    item = models.CharField(max_length=200)
    total = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.item} for {self.person}"
