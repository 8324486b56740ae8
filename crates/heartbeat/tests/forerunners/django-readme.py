HEARTBEAT = {
    'flag': {
        'class': 'heartbeat.heartbeats.Flag',
        'actions': {'takedown': True, 'mail_admins': True},
        'filename': '/etc/heart.beat'
    },
    'database': {
        'class': 'heartbeat.heartbeats.Db',
        'actions': {'takedown': True, 'mail_admins': True},
    },
    'cache': {
        'class': 'heartbeat.heartbeats.Cache',
        'actions': {'takedown': True, 'mail_admins': True},
    },
    'solr': {
        'class': 'curio.heartbeats.Solr',
        'actions': {'takedown': True, 'mail_admins': True},
        'url': SOLR_URL,
        'search_term': '*:*'
    },
}
