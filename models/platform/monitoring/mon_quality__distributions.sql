with spreads as (

    select * from {{ ref('mon_quality__spreads') }}

),

rules as (

    select * from {{ ref('mon_rules') }}

),

shifts as (

    select
        spreads.*,
        rules.fewest_before,
        rules.fewest_rows,
        spreads.distance as observed,
        0 as expected,
        -- A fifth, or what chance alone exceeds once in a thousand times (Kolmogorov and Smirnov).
        greatest(
            rules.least_change,
            1.95 * sqrt(1 / spreads.current_rows + 1 / nullif(spreads.reference_rows, 0))
        ) as allowed,
        null as bad_count,
        format('median {:.4g}, before {:.4g}', spreads.middle, spreads.reference_middle) as detail
    from spreads
    inner join rules on rules.rule_id = 'shifted_values'
    where spreads.rule_id = 'values'

),

outlier_shares as (

    select
        *,
        current_outside / current_rows as observed,
        reference_outside / nullif(reference_rows, 0) as expected
    from spreads
    where rule_id = 'values'

),

outlier_baselines as (

    select
        outlier_shares.*,
        rules.fewest_before,
        rules.fewest_rows,
        rules.deviations,
        rules.least_change,
        list(abs(outlier_shares.observed - outlier_shares.expected)) over (
            partition by outlier_shares.table_name, outlier_shares.column_name
            order by outlier_shares.period
            rows between rules.periods_before preceding and 1 preceding
        ) as misses_before
    from outlier_shares
    inner join rules on rules.rule_id = 'more_outliers'

),

outliers as (

    select
        *,
        {{ allowed_share(
            'expected', "coalesce(list_aggregate(misses_before, 'median'), 0)", 'current_rows', 'deviations', 'least_change'
        ) }} as allowed,
        current_outside as bad_count,
        format('{:,} of {:,} values outside {:.4g} to {:.4g}', current_outside, current_rows, lowest, highest) as detail
    from outlier_baselines

),

delays as (

    select
        spreads.*,
        rules.fewest_before,
        rules.fewest_rows,
        rules.deviations,
        spreads.last_percentile as observed,
        list(spreads.last_percentile) over (
            partition by spreads.table_name
            order by spreads.period
            rows between rules.periods_before preceding and 1 preceding
        ) as observed_before,
        list_aggregate(observed_before, 'median') as expected
    from spreads
    inner join rules on spreads.rule_id = rules.rule_id
    where spreads.rule_id = 'late_rows'

),

latenesses as (

    select
        *,
        greatest(
            2 * expected,
            expected + deviations * 1.4826
            * list_aggregate(list_transform(observed_before, lambda x: abs(x - expected)), 'median')
        ) as allowed,
        null as bad_count,
        format('1 in 100 rows came more than {:.4g} hours after its event', observed / 3600) as detail
    from delays

),

compared as (
    {% for rule_id, found in [
        ('shifted_values', 'shifts'), ('more_outliers', 'outliers'), ('late_rows', 'latenesses'),
    ] %}
        select
            table_name,
            column_name,
            '{{ rule_id }}' as rule_id,
            period,
            period_number,
            current_rows,
            reference_rows,
            bad_count,
            observed,
            expected,
            allowed,
            fewest_before,
            fewest_rows,
            detail
        from {{ found }}
        {{- '\n    union all' if not loop.last }}
    {% endfor %}
),

final as (

    select
        table_name,
        column_name,
        rule_id,
        period,
        current_rows as row_count,
        bad_count,
        observed,
        expected,
        allowed,
        case
            when period_number <= fewest_before then 'too early'
            when least(current_rows, reference_rows) < fewest_rows then 'too few rows'
            when observed > allowed then 'broken'
            else 'ok'
        end as verdict,
        detail
    from compared

)

select * from final
