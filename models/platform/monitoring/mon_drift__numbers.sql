with occurrences as (

    select * from {{ ref('mon_drift__values') }}
    where number_value is not null

),

sides as (

    select * from {{ ref('mon_drift__sides') }}

),

-- How often each value stands on either side: r of the reference, c of the current rows.
sided as (

    select
        sides.comparison,
        occurrences.number_value as x,
        if(sides.is_reference, occurrences.occurrences, 0)::integer as r,
        if(sides.is_reference, 0, occurrences.occurrences)::integer as c
    from occurrences
    inner join sides on occurrences.feature_number = sides.feature_number and occurrences.period = sides.period

),

-- One order for all comparisons: running totals need no partition, only to begin at what came before.
counted as (

    select
        comparison,
        (comparison is distinct from lead(comparison) over ()) or (x is distinct from lead(x) over ()) as is_last,
        sum(r) over up_to_here as r,
        sum(c) over up_to_here as c
    from (
        select * from sided
        order by comparison, x
    ) as ordered
    window up_to_here as (rows between unbounded preceding and current row)

),

-- Both distribution functions, in steps: how many rows are at most x.
steps as materialized (

    select
        comparison,
        r::bigint as r,
        c::bigint as c
    from counted
    where is_last

),

ends as (

    select
        comparison,
        max(r) as r,
        max(c) as c
    from steps
    group by comparison

),

numbers_sizes as (

    select
        comparison,
        lag(r, 1, 0) over (order by comparison) as r_of_others,
        lag(c, 1, 0) over (order by comparison) as c_of_others,
        r - r_of_others as n,
        c - c_of_others as m
    from ends

),

numbers_rises as materialized (

    select
        steps_before.comparison,
        steps_before.r - sizes.r_of_others as r,
        steps_before.c - sizes.c_of_others as c,
        steps_before.r_before - sizes.r_of_others as r_before,
        steps_before.c_before - sizes.c_of_others as c_before,
        sizes.n,
        sizes.m
    from (
        select
            *,
            lag(r, 1, 0) over (order by r, c) as r_before,
            lag(c, 1, 0) over (order by r, c) as c_before
        from steps
    ) as steps_before
    inner join numbers_sizes as sizes on steps_before.comparison = sizes.comparison

),

{{ assay._bins('numbers', by=['comparison']) }},

distances as (

    select
        comparison,
        any_value(n) as reference_present,
        any_value(m) as window_present,
        round({{ assay._ks() }}, 9) as ks
    from numbers_rises
    group by comparison

),

divergences as (

    {{ assay._divergences('numbers_bins', by=['comparison']) }}

),

final as (

    select
        distances.comparison,
        distances.reference_present,
        distances.window_present,
        distances.ks,
        round(divergences.psi, 9) as psi,
        round(divergences.js, 9) as js
    from distances
    left join divergences on distances.comparison = divergences.comparison

)

select * from final
