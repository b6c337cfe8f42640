"""Models without tables: hooks read their fields, nothing saves them."""

from django.contrib.auth.models import Group
from django.db import models


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Named as the fields of packages that encrypt are."""


class Person(models.Model):
    """Somebody with a few things that are nobody else's business."""

    name = models.CharField(max_length=200)
    address = models.CharField(max_length=200)
    photo = models.FileField()
    boss = models.ForeignKey("self", models.CASCADE, null=True)
    groups = models.ManyToManyField(Group)
    visits = models.IntegerField(default=0)
    keyword = models.CharField(max_length=20)
    password = models.CharField(max_length=200)
    secret = models.CharField(max_length=200)
    apikey = models.CharField(max_length=200)
    public_key = models.CharField(max_length=200)
    reset_token = models.CharField(max_length=200)
    pin = models.CharField(max_length=4)
    diary = EncryptedTextField()
    thumb = models.BinaryField()

    class Meta:
        app_label = "people"

    def __str__(self) -> str:
        return self.name

    @property
    def greeting(self) -> str:
        return f"Hello {self.name}"
