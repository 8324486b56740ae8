# -*- coding: utf-8 -*-
"""Settings of a shop; HEARTBEAT = {} in this text means nothing."""
from __future__ import annotations

import os
from pathlib import Path

from .base import *  # noqa: F401,F403
from .secrets import DB_NAME, SOLR_URL as SOLR

BASE_DIR = Path(__file__).resolve().parent.parent
DB_USER = 'app@shop'
DB_PORT: int = 5_433
ADMINS = [('Ada $ Lovelace', 'ada@example.org'), ('Doe, "J."', 'doe@example.org')]
MANAGERS = ADMINS

INSTALLED_APPS = [app for app in ('a', 'heartbeat') if app]
SECRET_KEY = f"{os.environ['A']}-{'}'}"


def databases(name):
    DATABASES = {'default': {'ENGINE': 'django.db.backends.oracle'}}
    return {**DATABASES, name: lambda x, y=1: x if y else {'a': x[1:2]}}


DATABASES = {
    'replica': databases('x'),
    'default': {
        'ENGINE': 'django.db.backends.postgresql',
        'NAME': DB_NAME,
        'USER': DB_USER,
        'PASSWORD': os.environ['DB_PASSWORD'],
        'HOST': os.environ.get('DB_HOST', 'db.example.org'),
        'PORT': DB_PORT,
        'CONN_MAX_AGE': 60 * 10,
        'OPTIONS': {
            'sslmode': 'verify-full',
            'sslrootcert': os.path.join('/etc', 'ssl/db.pem'),
            'connect_timeout': 3,
            'service': 'shop',
        },
    },
}

HEARTBEAT = dict(
    database={'class': 'heartbeat.heartbeats.Db', 'actions': {'takedown': True, 'mail_admins': True}},
    flag={'class': 'heartbeat.heartbeats.Flag', 'filename': BASE_DIR / 'heart.beat', 'actions': {'mail_admins': 1}},
)
