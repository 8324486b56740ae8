import django_heroku
ADMINS = ()
SQLITE = 'db.sqlite3'
DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': SQLITE}}
CACHES = {'default': {'BACKEND': 'django.core.cache.backends.locmem.LocMemCache'}}
DATABASES['default']['CONN_MAX_AGE'] = None
DATABASES['default'].update(env.db())
SQLITE += '.old'
HEARTBEAT = {
    'flag': {'class': 'heartbeat.heartbeats.Flag', 'filename': '/a', 'actions': {'takedown': True}},
    'flag2': {'class': 'heartbeat.heartbeats.Flag', 'filename': '/b', 'actions': {'takedown': True}},
    'database': {'class': 'heartbeat.heartbeats.Db', 'actions': {'takedown': True, 'restart': True}},
    'database': {'class': 'heartbeat.heartbeats.Db', 'actions': ['takedown']},
    'cache': {'class': 'heartbeat.heartbeats.Cache', 'actions': {'takedown': False, 'mail_admins': True}},
    'typo': {'class': 'heartbeat.heartbeats.Cach', 'actions': {'takedown': 1}},
    "it's\n$(touch /proof) # x": {
        'class': "it's\n`touch /proof`.$HOME",
        'a': [1, -2, {'b': None, 'c': (True,)}], 'd': f'{x}', 'e': 'multi\nline: x',
    },
    'none': None,
    'call': make('x'),
    'dict': {'class': MyCheck},
    NAME: {},
}
HEARTBEAT.pop('none')
HEARTBEAT['late'] = {'class': 'x.Y'}
django_heroku.settings(locals())
