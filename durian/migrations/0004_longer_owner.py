from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("durian", "0003_event_indexes"),
    ]

    operations = [
        migrations.AlterField(
            model_name="deletedlistener",
            name="owner",
            field=models.CharField(max_length=255, null=True),
        ),
    ]
