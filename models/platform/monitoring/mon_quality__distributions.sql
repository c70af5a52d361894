with spreads as (

    select * from {{ ref('mon_quality__spreads') }}

),

rules as (

    select * from {{ ref('mon_rules') }}

),

observed as (

    select
        spreads.* exclude (rule_id), -- noqa: RF02
        rules.* exclude (dimension, expected, example, reason, remedy), -- noqa: RF02
        case rules.rule_id
            when 'shifted_values' then spreads.distance
            when 'more_outliers' then spreads.current_outside / spreads.current_rows
            when 'late_rows' then spreads.last_percentile
        end as observed,
        case rules.rule_id
            when 'shifted_values' then rules.expected
            when 'more_outliers' then spreads.reference_outside / nullif(spreads.reference_rows, 0)
        end as declared
    from spreads
    inner join rules
        on
            (spreads.rule_id = 'values' and rules.rule_id in ('shifted_values', 'more_outliers'))
            or (spreads.rule_id = 'late_rows' and rules.rule_id = 'late_rows')

),

baselines as (

    select
        *,
        list(observed) over periods_before as observed_before,
        list(abs(observed - declared)) over periods_before as misses_before,
        if(rule_id = 'late_rows', list_aggregate(observed_before, 'median'), declared) as expected
    from observed
    window
        periods_before as (
            partition by table_name, column_name, rule_id
            order by period
            rows between periods_before preceding and 1 preceding
        )

),

usual as (

    select
        *,
        if(
            rule_id = 'more_outliers',
            coalesce(list_aggregate(misses_before, 'median'), 0),
            list_aggregate(list_transform(observed_before, lambda x: abs(x - expected)), 'median')
        ) as usual_miss
    from baselines

),

allowed as (

    select
        *,
        case rule_id
            when 'shifted_values'
                then greatest(
                    least_change, chance_coefficient * sqrt(1 / current_rows + 1 / nullif(reference_rows, 0))
                )
            when 'more_outliers'
                then {{ allowed_share(
                    'expected', 'usual_miss', 'current_rows', 'deviations', 'least_change'
                ) }}
            when 'late_rows'
                then greatest(
                    times_expected * expected, expected + deviations * {{ assay._deviation_of('usual_miss') }}
                )
        end as allowed
    from usual

),

final as (

    select
        table_name,
        column_name,
        rule_id,
        period,
        current_rows as row_count,
        if(rule_id = 'more_outliers', current_outside, null) as bad_count,
        observed,
        expected,
        allowed,
        case
            when period_number <= fewest_before then 'too early'
            when least(current_rows, reference_rows) < fewest_rows then 'too few rows'
            when observed > allowed then 'broken'
            else 'ok'
        end as verdict,
        case rule_id
            when 'shifted_values' then format('median {:.4g}, before {:.4g}', middle, reference_middle)
            when 'more_outliers'
                then format(
                    '{:,} of {:,} values outside {:.4g} to {:.4g}', current_outside, current_rows, lowest, highest
                )
            when 'late_rows' then format('1 in 100 rows came more than {:.4g} hours after its event', observed / 3600)
        end as detail
    from allowed

)

select * from final
