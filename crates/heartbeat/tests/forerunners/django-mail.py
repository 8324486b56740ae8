from os import environ, getenv

DEBUG = environ.get('DEBUG') == '1'
EMAIL_BACKEND = 'anymail.backends.amazon_ses.EmailBackend'
EMAIL_HOST = getenv('EMAIL_HOST', 'smtp.example.org')
EMAIL_PORT = int(environ.get('EMAIL_PORT', 587))
EMAIL_HOST_USER = 'shop@example.org'
EMAIL_HOST_PASSWORD = getenv('EMAIL_PASSWORD', '')
EMAIL_USE_TLS = True
EMAIL_TIMEOUT = 2.5
EMAIL_SUBJECT_PREFIX = "[$hop] "
SERVER_EMAIL = 'Shop <' + EMAIL_HOST_USER + '>'
ADMINS = ['ada@example.org', (u'', 'b@example.org'), ('C', environ['C_EMAIL']), 7]
if not DEBUG:
    ADMINS += ['d@example.org']
    EMAIL_USE_TLS = False
try:
    from .local_settings import *
except ImportError:
    pass

DATABASES = {
    'default': {
        'ENGINE': 'django.contrib.gis.db.backends.postgis',
        'HOST': '', 'PORT': '',
        'USER': getenv('PGUSER'), 'NAME': 'geo data',
    }
}
CACHES = {'default': {
    'BACKEND': 'django_redis.cache.RedisCache',
    'LOCATION': 'rediss://:s3cret@cache.example.org:6380?ssl_cert_reqs=none&db=2',
    'OPTIONS': {'CLIENT_CLASS': 'django_redis.client.DefaultClient'},
}}
HEARTBEAT = {
    'cache': {'class': 'heartbeat.heartbeats.Cache', 'actions': {'mail_admins': True}},
    'database': {'class': 'heartbeat.heartbeats.Db', 'actions': {'takedown': getenv('TAKEDOWN')}},
    'flag': {'class': 'heartbeat.heartbeats.Flag', 'filename': r'/etc/heart.beat'},
}
