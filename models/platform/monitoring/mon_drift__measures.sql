with comparisons as (

    select * from {{ ref('mon_drift__comparisons') }}

),

sides as (

    select * from {{ ref('mon_drift__sides') }}

),

periods as (

    select * from {{ ref('mon_drift__periods') }}

),

moments as (

    select * from {{ ref('mon_drift__moments') }}

),

distances as (

    select
        *,
        null as chi2,
        null as category_count
    from {{ ref('mon_drift__numbers') }}
    union all by name
    select
        *,
        null as ks
    from {{ ref('mon_drift__categories') }}

),

looked_at as (

    select
        sides.comparison,
        coalesce(sum(periods.looked_at) filter (sides.is_reference), 0)::bigint as reference_rows,
        coalesce(sum(periods.looked_at) filter (not sides.is_reference), 0)::bigint as window_rows,
        coalesce(sum(periods.arrivals) filter (not sides.is_reference), 0)::bigint as window_arrivals,
        max(periods.entities) filter (sides.is_reference) as reference_entities,
        max(periods.entities) filter (not sides.is_reference) as window_entities
    from sides
    left join periods on sides.view_number = periods.view_number and sides.period = periods.period
    group by sides.comparison

),

-- How busy the months of the reference were.
usual_arrivals as (

    select
        comparisons.comparison,
        avg(periods.arrivals) as arrivals
    from comparisons
    inner join periods
        on
            comparisons.view_number = periods.view_number
            and periods.period between comparisons.from_month and comparisons.to_month
    group by comparisons.comparison

),

final as (

    select
        comparisons.*,
        looked_at.* exclude (comparison), -- noqa: RF02
        usual_arrivals.arrivals as reference_arrivals,
        coalesce(distances.reference_present, 0) as reference_present,
        coalesce(distances.window_present, 0) as window_present,
        distances.ks,
        distances.chi2,
        distances.category_count,
        distances.psi,
        distances.js,
        moments.reference_mean,
        moments.window_mean,
        moments.least_value,
        moments.deviation,
        (looked_at.window_rows - coalesce(distances.window_present, 0)) / nullif(looked_at.window_rows, 0)
        - (looked_at.reference_rows - coalesce(distances.reference_present, 0)) / nullif(looked_at.reference_rows, 0)
            as null_shift
    from comparisons
    inner join looked_at on comparisons.comparison = looked_at.comparison
    left join usual_arrivals on comparisons.comparison = usual_arrivals.comparison
    left join distances on comparisons.comparison = distances.comparison
    left join moments on comparisons.comparison = moments.comparison

)

select * from final
