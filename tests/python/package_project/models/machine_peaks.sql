-- Of a greatest value alone, most arrivals change nothing.
with history as (

    {{ assay.windowed_history(
        source('plant', 'runs'),
        ['scenario', 'machine'],
        'ended_at',
        'reported_at',
        {'amount': ['max']},
        ['1d']
    ) }}

)

select * from history
