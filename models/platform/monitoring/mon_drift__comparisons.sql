{% set views = relations_read('feature_views') %}
{% if views or not execute %}

    with features as (

        select * from {{ ref('mon_drift__features') }}

    ),

    trained as (

        select
            *,
            {{ assay._month_of('starts_at') }} as from_month,
            {{ assay._month_of('ends_at') }} as to_month
        from {{ ref('mon_drift__trained') }}

    ),

    periods as (

        select * from {{ ref('mon_drift__periods') }}

    ),

    -- The warehouse's own clock, so that building again gives the same.
    clock as (

        select {{ assay._month_of('max(updated_at)') }} as this_month
        from (
            {% for relation in views.values() %}
                select {{ as_utc('max(updated_at)') }} as updated_at from {{ relation }}
                {{ 'union all' if not loop.last }}
            {% endfor %}
        ) as newest

    ),

    months as (

        select
            periods.view_number,
            min(periods.period) as first_month,
            least(max(periods.period), any_value(clock.this_month) - 1) as last_month,
            unnest(generate_series(first_month, last_month)) as month_number
        from periods
        cross join clock
        where periods.period >= 0
        group by periods.view_number

    ),

    listed as (

        select
            features.* exclude (place, trained_on), -- noqa: RF02
            0 as reference_number,
            'rolling' as reference,
            months.month_number,
            months.month_number - {{ var('drift_months') }} as from_month,
            months.month_number - 1 as to_month,
            {{ assay._first_of('from_month') }} as reference_from,
            {{ assay._first_of('to_month + 1') }} as reference_to,
            months.month_number - {{ var('drift_months') }} < months.first_month as is_early,
            false as is_trained_on
        from features
        inner join months on features.view_number = months.view_number
        union all
        select
            features.* exclude (place, trained_on), -- noqa: RF02
            trained.reference_number,
            trained.reference,
            months.month_number,
            trained.from_month,
            trained.to_month,
            trained.starts_at as reference_from,
            trained.ends_at as reference_to,
            false as is_early,
            months.month_number <= trained.to_month as is_trained_on
        from features
        inner join months on features.view_number = months.view_number
        inner join trained
            on
                list_contains(features.trained_on, trained.reference)
                and months.month_number >= trained.from_month

    ),

    final as (

        select
            row_number() over (order by feature_number, reference_number, month_number)::integer as comparison,
            *
        from listed

    )

    select * from final

{% else %}

    {{ no_rows() }}

{% endif %}
