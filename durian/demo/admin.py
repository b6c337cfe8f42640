"""The shop in the admin: change something there and see the webhooks leave."""

from django.contrib import admin

from durian.demo.models import Order, Person

admin.site.register(Person)
admin.site.register(Order)
