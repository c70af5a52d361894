{% set tables = relations_read('events') %}
{% if tables %}

    with counted as (

        {% for name, relation in tables.items() %}
            select
                '{{ name }}' as table_name,
                ({{ as_utc('event_at') }})::date as event_on,
                count(*) as row_count
            from {{ relation }}
            group by all
            {{ 'union all' if not loop.last }}
        {% endfor %}

    ),

    days as (

        select
            table_name,
            unnest(generate_series(min(event_on), max(event_on), interval '1 day'))::date as event_on
        from counted
        group by table_name

    ),

    final as (

        select
            days.table_name,
            days.event_on,
            coalesce(counted.row_count, 0) as row_count
        from days
        left join counted on days.table_name = counted.table_name and days.event_on = counted.event_on

    )

    select * from final

{% else %}

    {{ no_rows() }}

{% endif %}
