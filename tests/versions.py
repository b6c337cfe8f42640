"""What a test wants of Django, where the oldest that durian admits has it not."""

import django
import pytest

immediate_sqlite = pytest.mark.skipif(
    django.VERSION < (5, 1), reason="Django's SQLite has immediate transactions from 5.1 on"
)
generated_fields = pytest.mark.skipif(
    django.VERSION < (5, 0), reason="Django has generated columns from 5.0 on"
)
