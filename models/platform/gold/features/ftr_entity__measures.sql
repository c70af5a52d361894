{#- A feature view to copy; it is switched off. dbt finds it under the settings of folders that a project may have nothing in yet,
    and so warns of folders alone that are mistyped in dbt_project.yml. -#}
{{ config(enabled=false) }}

{{ windowed_history(
    ref('fct_events'),
    entity_keys=['entity_id'],
    event_at='event_at',
    available_at='available_at',
    measures={'event': ['count'], 'amount': ['sum']},
    windows=['1h', '7d']
) }}
