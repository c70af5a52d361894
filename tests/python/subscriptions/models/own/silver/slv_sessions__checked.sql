{{ checked_rows(
    'app', 'sessions', key=['session_id'], repeated='repeated_session',
    document='{
        "id": "VARCHAR", "account": "VARCHAR", "device": "VARCHAR", "minutes": "VARCHAR", "began_at": "VARCHAR",
        "sent_at": "VARCHAR"
    }',
    columns={
        'session_id': filled('document.id'),
        'account_id': filled('document.account'),
        'device': filled('document.device'),
        'minutes': strict_number('document.minutes', 'integer'),
        'written_at': utc_timestamp('document.began_at'),
        'received_at': utc_timestamp('document.sent_at'),
    },
    rules={
        'missing_session_id': 'session_id is null',
        'invalid_minutes': 'minutes is null',
        'invalid_began_at': 'claimed_at is null',
    }
) }}
