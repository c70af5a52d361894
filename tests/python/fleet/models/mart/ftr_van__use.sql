{{ config(materialized='history') }}
{{ assay.windowed_history(
    ref('fct_trips'),
    entity_keys=['van_id'],
    event_at='ended_at',
    available_at='known_at',
    measures={'trip': ['count'], 'kilometres': ['sum']},
    windows=['7d', '28d']
) }}
