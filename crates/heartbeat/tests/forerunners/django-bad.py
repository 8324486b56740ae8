ADMINS = [('Ada', 'ada@example.org')]
if True:
    HEARTBEAT = {}


class Production:
    HEARTBEAT = {
        'flag': {'class': 'heartbeat.heartbeats.Flag'}
    }
