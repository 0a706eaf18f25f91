"""Object storage that speaks S3, in memory, with one bucket: what gunicorn serves on a test host."""

from __future__ import annotations

from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app

BUCKET, REGION = "backups", "us-west-2"
ACCOUNT = "123456789012"  # moto's own default

s3_backends[ACCOUNT]["aws"].create_bucket(BUCKET, REGION)
application = DomainDispatcherApplication(create_backend_app)
