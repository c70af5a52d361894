{% set names = measurable(names_read('monitored')) %}
{% if names %}

    with table_measures as (

        {{ quality_measures(names, keys_of_dimensions(), var('quality_period')) }}

    ),

    of_rows as (

        select
            table_name,
            null as column_name,
            'empty_table' as rule_id,
            period,
            row_count,
            null as bad_count,
            null as spread
        from table_measures

    ),

    of_columns as (

        select
            table_name,
            measure.column_name,
            measure.rule_id,
            period,
            row_count,
            measure.bad_count,
            measure.spread
        from (
            select
                *,
                unnest(measures) as measure
            from table_measures
        ) as measured

    ),

    rejecting_rules as (

        select distinct
            table_name,
            unnest(map_keys(broken_rules)) as rule_id
        from table_measures

    ),

    -- A rule that is broken in one period is counted in all.
    of_rejected_rows as (

        select
            table_measures.table_name,
            null as column_name,
            rejecting_rules.rule_id,
            table_measures.period,
            table_measures.row_count,
            coalesce(table_measures.broken_rules[rejecting_rules.rule_id], 0)::bigint as bad_count,
            null as spread
        from table_measures
        inner join rejecting_rules on table_measures.table_name = rejecting_rules.table_name

    ),

    final as (

        select * from of_rows
        union all
        select * from of_columns
        union all
        select * from of_rejected_rows

    )

    select * from final

{% else %}

    {{ no_rows() }}

{% endif %}
