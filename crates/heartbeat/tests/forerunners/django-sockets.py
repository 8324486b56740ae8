import environ
env = environ.Env(DEBUG=(bool, False))

CACHES = {
    'default': {
        'BACKEND': 'django.core.cache.backends.memcached.PyMemcacheCache',
        'LOCATION': [
            'unix:/run/memcached.sock',
            '10.0.0.1:11211', '[2001:db8::1]:11211;cache-2',
            env('MEMCACHED', default='127.0.0.1:11211'),
        ],
        'OPTIONS': {'no_delay': True, 'username': 'me'},
    }
}
DATABASES = {'default': {
    'ENGINE': 'django.db.backends.mysql',
    'NAME': 'shop', 'USER': "root", 'PASSWORD': 'p$w' "%",
    'OPTIONS': {'charset': 'utf8mb4', 'ssl': {'ca': 'ca.pem'}, 'read_default_file': '/etc/my.cnf'},
}}
HEARTBEAT = {
    'cache': {'class': 'heartbeat.heartbeats.Cache', 'actions': {'takedown': not False}},
    'database': {'class': 'heartbeat.heartbeats.Db', 'timeout': 3},
}
