{% set views = assay._compared_views(names_read('feature_views')) %}
{% if views or not execute %}

    with trained as (

        select * from {{ ref('mon_drift__trained') }}

    ),

    -- As of each arrival: what expires, expires of itself.
    arrived as (

        {% for view in views %}
            {% set keys, opened_at = quoted(view.entity_keys), as_utc('valid_from') %}
            select
                {{ view.number }} as view_number,
                {{ opened_at }} as _opened_at,
                hash({{ keys }}) as entity,
                -- Its place in an order of chance, from 0 to 1: the greatest hash is 2^64 - 1.
                hash({{ keys }}, {{ opened_at }}) / 18446744073709551615 as place,
                {{ assay._listed(view.numbers, 'double') }} as numbers,
                {{ assay._listed(view.categories, 'varchar') }} as categories
            from {{ view.relation }}
            where {{ view.first_arrival }} = valid_from
            {{ 'union all' if not loop.last }}
        {% endfor %}

    ),

    placed as (

        select
            {{ assay._month_of('_opened_at') }} as period,
            *
        from arrived
        union all
        select
            -trained.reference_number as period,
            arrived.*
        from arrived
        inner join trained on arrived._opened_at between trained.starts_at and trained.ends_at

    ),

    periods as (

        select
            view_number,
            period,
            count(*) as arrivals
        from placed
        group by view_number, period

    ),

    final as (

        select
            placed.view_number,
            placed.period,
            periods.arrivals,
            placed.entity,
            placed.numbers,
            placed.categories
        from placed
        inner join periods on placed.view_number = periods.view_number and placed.period = periods.period
        where placed.place <= {{ var('drift_rows') }} / periods.arrivals

    )

    select * from final

{% else %}

    {{ no_rows() }}

{% endif %}
