with occurrences as (

    select * from {{ ref('mon_drift__values') }}
    where category is not null

),

sides as (

    select * from {{ ref('mon_drift__sides') }}

),

-- How often each category stands on either side: r of the reference, c of the current rows.
counted as (

    select
        sides.comparison,
        occurrences.category,
        coalesce(sum(occurrences.occurrences) filter (sides.is_reference), 0) as r,
        coalesce(sum(occurrences.occurrences) filter (not sides.is_reference), 0) as c
    from occurrences
    inner join sides on occurrences.feature_number = sides.feature_number and occurrences.period = sides.period
    group by sides.comparison, occurrences.category

),

sized as (

    select
        *,
        sum(r) over (partition by comparison) as n,
        sum(c) over (partition by comparison) as m
    from counted

),

shares as (

    select
        *,
        r / nullif(n, 0)::double as p,
        c / nullif(m, 0)::double as q,
        (r + c) * n / (n + m)::double as r_expected,
        (r + c) * m / (n + m)::double as c_expected
    from sized

),

distances as (

    select
        comparison,
        any_value(n)::bigint as reference_present,
        any_value(m)::bigint as window_present,
        -- In order, for sums of doubles depend on it.
        sum(
            (r - r_expected) * (r - r_expected) / nullif(r_expected, 0)
            + (c - c_expected) * (c - c_expected) / nullif(c_expected, 0)
            order by r, c
        ) as chi2,
        count(*) as category_count
    from shares
    group by comparison

),

divergences as (

    {{ assay._divergences('shares', by=['comparison']) }}

),

final as (

    select
        distances.comparison,
        distances.reference_present,
        distances.window_present,
        distances.chi2,
        distances.category_count,
        round(divergences.psi, 9) as psi,
        round(divergences.js, 9) as js
    from distances
    left join divergences on distances.comparison = divergences.comparison

)

select * from final
