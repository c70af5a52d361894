{% macro drift_figures(bins=10, epsilon=0.0001) -%}
{{ assay._number_steps() }},

{{ assay._number_bins(bins) }},

{{ assay._category_shares() }},

{{ assay._distances(epsilon) }},

{{ assay._moments() }},

{{ assay._volumes() }},

compared as (

    select
        comparisons.*,
        looked_at.* exclude (comparison),
        volumes.* exclude (comparison),
        coalesce(measured.n, 0) as reference_present,
        coalesce(measured.m, 0) as window_present,
        measured.ks,
        measured.chi2,
        measured.category_count,
        round(divergences.psi, 9) as psi,
        round(divergences.js, 9) as js,
        before.mean as reference_mean,
        since.mean as window_mean,
        least(before.least, since.least) as least,
        spreads.deviation,
        (looked_at.window_rows - window_present) / nullif(looked_at.window_rows, 0)
        - (looked_at.reference_rows - reference_present) / nullif(looked_at.reference_rows, 0) as null_shift
    from comparisons
    inner join looked_at on comparisons.comparison = looked_at.comparison
    left join volumes on comparisons.comparison = volumes.comparison
    left join measured on comparisons.comparison = measured.comparison
    left join divergences on comparisons.comparison = divergences.comparison
    left join spreads on comparisons.comparison = spreads.comparison
    left join means as before on comparisons.comparison = before.comparison and before.is_reference
    left join means as since on comparisons.comparison = since.comparison and not since.is_reference

)
{%- endmacro %}


{#- How many rows of either side are at most x: numbers_steps, and numbers_sizes. -#}
{% macro _number_steps() -%}
    {%- set running = 'over (rows between unbounded preceding and current row)' -%}
numbers_sided as (

    {{ assay._sided('numbers') }}

),

-- One order for all comparisons: running totals need no partition, only to begin at what came before.
numbers_counted as (

    select
        comparison,
        (comparison is distinct from lead(comparison) over ()) or (x is distinct from lead(x) over ()) as is_last,
        sum(r) {{ running }} as r,
        sum(c) {{ running }} as c
    from (select * from numbers_sided order by comparison, x) as ordered

),

-- Both distribution functions, in steps: how many rows are at most x.
numbers_steps as materialized (

    select
        comparison,
        r::bigint as r,
        c::bigint as c
    from numbers_counted
    where is_last

),

numbers_ends as (

    select
        comparison,
        max(r) as r,
        max(c) as c
    from numbers_steps
    group by comparison

),

numbers_sizes as (

    select
        comparison,
        lag(r, 1, 0) over (order by comparison) as r_of_others,
        lag(c, 1, 0) over (order by comparison) as c_of_others,
        r - r_of_others as n,
        c - c_of_others as m
    from numbers_ends

)
{%- endmacro %}


{#- The shares of the bins that the reference's quantiles make: numbers_bins. -#}
{% macro _number_bins(bins) -%}
numbers_rises as materialized (

    select
        steps.comparison,
        steps.r - sizes.r_of_others as r,
        steps.c - sizes.c_of_others as c,
        steps.r_before - sizes.r_of_others as r_before,
        steps.c_before - sizes.c_of_others as c_before,
        sizes.n,
        sizes.m
    from (
        select
            *,
            lag(r, 1, 0) over (order by r, c) as r_before,
            lag(c, 1, 0) over (order by r, c) as c_before
        from numbers_steps
    ) as steps
    inner join numbers_sizes as sizes on steps.comparison = sizes.comparison

),

{{ assay._bins('numbers', bins, by=['comparison']) }}
{%- endmacro %}


{#- The shares of the categories: categories_shares. -#}
{% macro _category_shares() -%}
categories_merged as (

    select
        comparison,
        x,
        sum(r) as r,
        sum(c) as c
    from ({{ assay._sided('categories') }}) as sided
    group by comparison, x

),

categories_shares as (

    select
        *,
        r / nullif(n, 0)::double as p,
        c / nullif(m, 0)::double as q,
        (r + c) * n / (n + m)::double as r_expected,
        (r + c) * m / (n + m)::double as c_expected
    from (
        select
            *,
            sum(r) over (partition by comparison) as n,
            sum(c) over (partition by comparison) as m
        from categories_merged
    ) as counted

)
{%- endmacro %}


{#- How far both sides are apart: measured and divergences. -#}
{% macro _distances(epsilon) -%}
measured as (

    select
        *,
        null::double as chi2,
        null::bigint as category_count
    from (
        select
            comparison,
            any_value(n) as n,
            any_value(m) as m,
            round({{ assay._ks() }}, 9) as ks
        from numbers_rises
        group by comparison
    ) as steps
    union all
    select
        comparison,
        any_value(n)::bigint as n,
        any_value(m)::bigint as m,
        null::double as ks,
        sum(
            (r - r_expected) * (r - r_expected) / nullif(r_expected, 0) + (c - c_expected) * (c - c_expected) / nullif(c_expected, 0)
            order by r, c
        ) as chi2,
        count(*) as category_count
    from categories_shares
    group by comparison

),

divergences as (

    {{ assay._divergences('(select comparison, p, q from numbers_bins union all select comparison, p, q from categories_shares)', epsilon, by=['comparison']) }}

)
{%- endmacro %}


{#- Means and deviations of the sides, from those of their periods. -#}
{% macro _moments() -%}
moments as (

    select
        numbers.feature_number,
        numbers.period,
        any_value(means.present) as present,
        any_value(means.mean) as mean,
        any_value(means.least) as least,
        sum(numbers.occurrences * pow(numbers.x - means.mean, 2) order by numbers.x) as squares
    from numbers
    inner join (
        select
            feature_number,
            period,
            sum(occurrences) as present,
            sum(occurrences * x order by x) / sum(occurrences) as mean,
            min(x) as least
        from numbers
        where isfinite(x)
        group by feature_number, period
    ) as means on numbers.feature_number = means.feature_number and numbers.period = means.period
    where isfinite(numbers.x)
    group by numbers.feature_number, numbers.period

),

means as (

    select
        sides.comparison,
        sides.is_reference,
        sum(moments.present) as present,
        sum(moments.present * moments.mean order by sides.period) / sum(moments.present) as mean,
        min(moments.least) as least
    from sides
    inner join moments on sides.feature_number = moments.feature_number and sides.period = moments.period
    group by sides.comparison, sides.is_reference

),

spreads as (

    select
        sides.comparison,
        sqrt(
            sum(moments.squares + moments.present * pow(moments.mean - means.mean, 2) order by sides.period)
            / nullif(any_value(means.present) - 1, 0)
        ) as deviation
    from sides
    inner join moments on sides.feature_number = moments.feature_number and sides.period = moments.period
    inner join means on sides.comparison = means.comparison and means.is_reference
    where sides.is_reference
    group by sides.comparison

)
{%- endmacro %}


{#- How much was looked at, and how busy it was. -#}
{% macro _volumes() -%}
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
volumes as (

    select
        comparisons.comparison,
        avg(periods.arrivals) as arrivals
    from comparisons
    inner join periods
        on
            comparisons.view_number = periods.view_number
            and periods.period between comparisons.from_month and comparisons.to_month
    group by comparisons.comparison

)
{%- endmacro %}


{#- How often each value of a period stands on either side of the comparisons that it takes part in. -#}
{% macro _sided(counts) -%}
    select
        sides.comparison,
        counts.x,
        if(sides.is_reference, counts.occurrences, 0)::integer as r,
        if(sides.is_reference, 0, counts.occurrences)::integer as c
    from {{ counts }} as counts
    inner join sides on counts.feature_number = sides.feature_number and counts.period = sides.period
{%- endmacro %}
