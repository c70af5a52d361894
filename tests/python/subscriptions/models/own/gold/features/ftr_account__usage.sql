{{ windowed_history(
    ref('fct_sessions'),
    entity_keys=['account_id'],
    event_at='began_at',
    available_at='available_at',
    measures={
        'session': ['count'],
        'minutes': ['sum'],
        'began_at': {'aggregates': ['last'], 'windows': ['all']},
    },
    windows=['7d', '28d', 'all']
) }}
