# What django-tenants takes to bring one migration to some schemas, one after another. Prints milliseconds.
import importlib
import io
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from urllib.parse import unquote, urlsplit

url, count, sql = urlsplit(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

folder = Path(tempfile.mkdtemp(prefix="migrations-"))
(folder / "fleet" / "migrations").mkdir(parents=True)
(folder / "fleet" / "__init__.py").touch()
(folder / "fleet" / "migrations" / "__init__.py").touch()
(folder / "fleet" / "models.py").write_text("""
from django_tenants.models import DomainMixin, TenantMixin
class Client(TenantMixin): pass
class Domain(DomainMixin): pass
""")


def migration(name, before, sql):
    (folder / "fleet" / "migrations" / f"{name}.py").write_text(f"""
from django.db import migrations
class Migration(migrations.Migration):
    dependencies = {[("fleet", name) for name in before]!r}
    operations = [migrations.RunSQL({sql!r})]
""")


migration("0001_begin", [], "SELECT 1")
sys.path.insert(0, str(folder))

import django
from django.conf import settings

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django_tenants.postgresql_backend",
            "NAME": url.path[1:], "USER": url.username, "PASSWORD": unquote(url.password or ""),
            "HOST": url.hostname, "PORT": url.port,
        }
    },
    DATABASE_ROUTERS=["django_tenants.routers.TenantSyncRouter"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django_tenants", "django.contrib.contenttypes", "fleet"],
    SHARED_APPS=["django_tenants", "django.contrib.contenttypes"], TENANT_APPS=["fleet"],
    TENANT_MODEL="fleet.Client", TENANT_DOMAIN_MODEL="fleet.Domain",
)
django.setup()

from django_tenants.migration_executors.base import run_migrations

options = {
    "verbosity": 0, "interactive": False, "database": "default", "fake": False, "fake_initial": False,
    "plan": False, "run_syncdb": False, "check_unapplied": False, "prune": False, "app_label": None,
    "migration_name": None, "skip_checks": True, "no_color": True, "force_color": False, "settings": None,
    "pythonpath": None, "traceback": False, "stdout": None, "stderr": None,
}


def migrate():
    started = time.perf_counter()
    with redirect_stdout(io.StringIO()):
        for number in range(count):
            run_migrations([], options, "standard", f"raw_{number}", allow_atomic=True)
    return time.perf_counter() - started


# Its own tables, which are not what is asked for.
migrate()
migration("0002_change", ["0001_begin"], sql)
importlib.invalidate_caches()
print(round(migrate() * 1000))
