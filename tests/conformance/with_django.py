"""What applications do with Django's ORM. A process of its own: Django's settings are the process's.

Run as ``python -m tests.conformance.with_django HOST PORT DATABASE``; prints what came back as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django
from django.conf import settings


def work(host: str, port: str, database: str) -> list[Any]:
    """Do it and return everything that came back."""
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": host,
                "PORT": port,
                "NAME": database,
                "USER": "postgres",
            }
        },
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()
    from django.contrib.auth.models import Group, Permission, User
    from django.core.management import call_command
    from django.db import IntegrityError, connection, transaction
    from django.db.models import Count, F, Q

    seen: list[Any] = []
    call_command("migrate", verbosity=0)
    groups = Group.objects.bulk_create([Group(name=f"group {number}") for number in range(10)])
    for number in range(10):
        user = User.objects.create(username=f"user{number}", first_name="Zoë")
        user.groups.set(groups[: number % 4])
    # The usual N+1, then its repair.
    seen.append(
        [[group.name for group in user.groups.order_by("name")] for user in User.objects.order_by("id")]
    )
    seen.append([len(user.groups.all()) for user in User.objects.order_by("id").prefetch_related("groups")])
    seen.append(
        list(
            User.objects.annotate(n=Count("groups"))
            .filter(n__gt=1)
            .order_by("id")
            .values_list("username", "n")
        )
    )
    seen.append(User.objects.filter(Q(id__lte=3) | Q(username__endswith="9")).update(last_name=F("username")))
    seen.append(User.objects.get_or_create(username="user1")[1])
    try:
        with transaction.atomic():
            User.objects.create(username="user1")
    except IntegrityError as error:
        seen.append(type(error).__name__)
    with transaction.atomic():
        locked = User.objects.select_for_update().order_by("id").first()
        seen.append(locked.username if locked else None)
        # A server-side cursor.
        codenames = Permission.objects.order_by("codename").values_list("codename", flat=True)
        seen.append(list(codenames.iterator(3)))
    seen.append(User.objects.filter(username__startswith="user").delete()[0])
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s || %s", ["it's", " 100 %"])
        seen.append(cursor.fetchall())
    connection.close()
    return seen


if __name__ == "__main__":
    json.dump(work(*sys.argv[1:4]), sys.stdout)
