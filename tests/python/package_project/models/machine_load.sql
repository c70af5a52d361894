with history as (

    {{ assay.windowed_history(
        source('plant', 'runs'),
        entity_keys=['scenario', 'machine'],
        event_at='ended_at',
        available_at='reported_at',
        measures={
            'run': ['count'],
            'amount': [
                'count', 'sum', 'avg', 'min', 'max', 'stddev', 'last', 'first',
            ],
            'tool': ['distinct_count', 'mode'],
            'late': {'expression': 'amount', 'aggregates': ['max', 'sum'], 'windows': ['1d']},
            'positive': {'expression': 'case when amount > 0 then amount end', 'aggregates': ['count', 'sum']},
        },
        windows=['1h', '1d', 'all'],
        where='not is_test'
    ) }}

)

select * from history
