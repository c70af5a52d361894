with numbers as (

    select * from {{ ref('mon_drift__values') }}
    where isfinite(number_value)

),

sides as (

    select * from {{ ref('mon_drift__sides') }}

),

-- Sums are in order, for those of doubles depend on it.
means_of_periods as (

    select
        feature_number,
        period,
        sum(occurrences) as present,
        sum(occurrences * number_value order by number_value) / sum(occurrences) as mean,
        min(number_value) as least_value
    from numbers
    group by feature_number, period

),

periods as (

    select
        numbers.feature_number,
        numbers.period,
        any_value(means_of_periods.present) as present,
        any_value(means_of_periods.mean) as mean,
        any_value(means_of_periods.least_value) as least_value,
        sum(
            numbers.occurrences * pow(numbers.number_value - means_of_periods.mean, 2) order by numbers.number_value
        ) as squares
    from numbers
    inner join means_of_periods
        on numbers.feature_number = means_of_periods.feature_number and numbers.period = means_of_periods.period
    group by numbers.feature_number, numbers.period

),

means_of_sides as (

    select
        sides.comparison,
        sides.is_reference,
        sum(periods.present) as present,
        sum(periods.present * periods.mean order by sides.period) / sum(periods.present) as mean,
        min(periods.least_value) as least_value
    from sides
    inner join periods on sides.feature_number = periods.feature_number and sides.period = periods.period
    group by sides.comparison, sides.is_reference

),

spreads as (

    select
        sides.comparison,
        sqrt(
            sum(periods.squares + periods.present * pow(periods.mean - means_of_sides.mean, 2) order by sides.period)
            / nullif(any_value(means_of_sides.present) - 1, 0)
        ) as deviation
    from sides
    inner join periods on sides.feature_number = periods.feature_number and sides.period = periods.period
    inner join means_of_sides on sides.comparison = means_of_sides.comparison and means_of_sides.is_reference
    where sides.is_reference
    group by sides.comparison

),

final as (

    select
        means_of_sides.comparison,
        any_value(means_of_sides.mean) filter (means_of_sides.is_reference) as reference_mean,
        any_value(means_of_sides.mean) filter (not means_of_sides.is_reference) as window_mean,
        min(means_of_sides.least_value) as least_value,
        any_value(spreads.deviation) as deviation
    from means_of_sides
    left join spreads on means_of_sides.comparison = spreads.comparison
    group by means_of_sides.comparison

)

select * from final
