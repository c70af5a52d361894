with measures as (

    select * from {{ ref('mon_quality__measures') }}

),

rules as (

    select * from {{ ref('mon_rules') }}

),

outlier_rules as (

    select quartile_ranges
    from rules
    where rule_id = 'more_outliers'

),

spreads as (

    select
        measures.table_name,
        measures.column_name,
        measures.rule_id,
        measures.period,
        row_number() over (
            partition by measures.table_name, measures.column_name, measures.rule_id
            order by measures.period
        ) as period_number,
        rules.periods_before,
        map_entries(measures.spread) as spread
    from measures
    inner join rules on if(measures.rule_id = 'values', 'shifted_values', measures.rule_id) = rules.rule_id
    where measures.spread is not null and measures.period is not null

),

both_sides as (

    select
        spreads.* exclude (spread, periods_before),
        unnest(spreads.spread) as spread,
        false as is_before
    from spreads
    union all
    select
        spreads.* exclude (spread, periods_before), -- noqa: RF02
        unnest(earlier.spread) as spread,
        true as is_before
    from spreads
    inner join spreads as earlier
        on
            spreads.table_name = earlier.table_name
            and spreads.column_name is not distinct from earlier.column_name
            and spreads.rule_id = earlier.rule_id
            and spreads.period_number > earlier.period_number
            and spreads.period_number <= earlier.period_number + spreads.periods_before

),

-- How many values are of which magnitude, in a period and in those before it.
magnitudes as (

    select
        table_name,
        column_name,
        rule_id,
        period,
        period_number,
        spread.key as bucket,
        sum(spread.value) filter (not is_before) as current_count,
        sum(spread.value) filter (is_before) as reference_count
    from both_sides
    group by all

),

-- Both distribution functions, in steps.
steps as (

    select
        *,
        {{ assay._magnitude('bucket') }} as magnitude,
        sum(current_count) over up_to_here as current_below,
        sum(reference_count) over up_to_here as reference_below,
        sum(current_count) over of_the_period as current_rows,
        sum(reference_count) over of_the_period as reference_rows
    from magnitudes
    window
        of_the_period as (partition by table_name, column_name, rule_id, period),
        up_to_here as (partition by table_name, column_name, rule_id, period order by bucket)

),

described as (

    select
        table_name,
        column_name,
        rule_id,
        period,
        period_number,
        current_rows::bigint as current_rows,
        coalesce(reference_rows, 0)::bigint as reference_rows,
        max(abs(coalesce(reference_below, 0) / reference_rows - coalesce(current_below, 0) / current_rows)) as distance,
        min(magnitude) filter (current_below >= 0.5 * current_rows) as middle,
        min(magnitude) filter (current_below >= 0.99 * current_rows) as last_percentile,
        min(magnitude) filter (reference_below >= 0.25 * reference_rows) as first_quartile,
        min(magnitude) filter (reference_below >= 0.5 * reference_rows) as reference_middle,
        min(magnitude) filter (reference_below >= 0.75 * reference_rows) as third_quartile,
        -- Infinite quartiles are no distance from each other.
        if(first_quartile = third_quartile, 0, third_quartile - first_quartile) as quartile_range
    from steps
    group by all

),

bounded as (

    select
        described.*,
        described.first_quartile - outlier_rules.quartile_ranges * described.quartile_range as lowest,
        described.third_quartile + outlier_rules.quartile_ranges * described.quartile_range as highest
    from described
    cross join outlier_rules

),

final as (

    select
        bounded.* exclude (first_quartile, third_quartile, quartile_range), -- noqa: RF02
        coalesce(
            sum(steps.current_count) filter (steps.magnitude not between bounded.lowest and bounded.highest), 0
        )::bigint as current_outside,
        coalesce(
            sum(steps.reference_count) filter (steps.magnitude not between bounded.lowest and bounded.highest), 0
        )::bigint as reference_outside
    from bounded
    inner join steps
        on
            bounded.table_name = steps.table_name
            and bounded.column_name is not distinct from steps.column_name
            and bounded.rule_id = steps.rule_id
            and bounded.period = steps.period
    group by all

)

select * from final
