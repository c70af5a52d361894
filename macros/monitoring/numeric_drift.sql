{% macro numeric_drift(reference, current, columns, bins=10, epsilon=0.0001) -%}
with {{ assay._figures_of_side('reference', reference, columns) }},

{{ assay._figures_of_side('current', current, columns) }},

{% for column in columns %}
{%- set c = 'c' ~ loop.index %}
{{ assay._buckets_of_column(c) }},

{{ assay._steps_of_column(c, bins) }},

{{ assay._bins(c, bins) }},

{{ assay._drift_of_column(c, column, epsilon) }}{{ ',' if not loop.last }}

{% endfor %}
{%- for column in columns %}
select * from c{{ loop.index }}
{{ 'union all' if not loop.last }}
{%- endfor %}
{%- endmacro %}


{#- The values of one side as DOUBLE, c1 to cN, and what is counted of them. -#}
{% macro _figures_of_side(side, relation, columns) -%}
{{ side }}_values as materialized (

    select
        {%- for column in columns %}
        nullif({{ assay.quoted(column) }}::double, 'nan'::double) as c{{ loop.index }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ relation }} as {{ side }}_rows

),

{{ side }}_figures as materialized (

    select
        count(*) as row_count
        {%- for column in columns %}
        {%- set c = 'c' ~ loop.index %}
        {%- set finite = 'if(isfinite(' ~ c ~ '), ' ~ c ~ ', null)' %},
        count({{ c }}) as {{ c }}_count,
        avg({{ finite }}) as {{ c }}_mean,
        stddev_samp({{ finite }}) as {{ c }}_stddev,
        reservoir_quantile({{ finite }}, [0.001, 0.999]) as {{ c }}_ends
        {%- endfor %}
    from {{ side }}_values

)
{%- endmacro %}


{#- How many values of column c of either side lie in each bucket. -#}
{% macro _buckets_of_column(c) -%}
    {%- set buckets = 16384 -%}
{{ c }}_sizes as (

    select
        reference.{{ c }}_count as n,
        current.{{ c }}_count as m
    from reference_figures as reference
    cross join current_figures as current

),

-- Sorting all values would take most of the time, and few of them matter. So they are counted in buckets of equal
-- width, of a size that a sample suggests: another size makes other buckets, and the same answer.
{{ c }}_scale as materialized (

    select
        lo,
        if(hi > lo and isfinite({{ buckets }} / (hi - lo)), {{ buckets }} / (hi - lo), 1) as buckets_a_unit
    from (
        select
            coalesce(least(reference.{{ c }}_ends[1], current.{{ c }}_ends[1]), 0) as lo,
            coalesce(greatest(reference.{{ c }}_ends[2], current.{{ c }}_ends[2]), 0) as hi
        from reference_figures as reference
        cross join current_figures as current
    ) as ends

),

{{ c }}_buckets as materialized (

    select
        *,
        (sum(r_in) over in_order)::bigint as r,
        (sum(c_in) over in_order)::bigint as c
    from ({{ assay._counted_by(c, 'bucket') }}) as counted
    window in_order as (order by bucket rows unbounded preceding)

)
{%- endmacro %}


{#- Both distribution functions of column c, in as many steps as it takes to know their quantiles and distance. -#}
{% macro _steps_of_column(c, bins) -%}
-- Within these lies a quantile, or the distribution functions may come to be farther apart than at any end.
{{ c }}_open as materialized (

    select bucket
    from {{ c }}_buckets
    cross join {{ c }}_sizes
    cross join (
        select max(abs(r / nullif(n, 0)::double - c / nullif(m, 0)::double)) as distance
        from {{ c }}_buckets
        cross join {{ c }}_sizes
    ) as apart
    where
        r * {{ bins }} // nullif(n, 0) > (r - r_in) * {{ bins }} // nullif(n, 0)
        or r / nullif(n, 0)::double - (c - c_in) / nullif(m, 0)::double > distance
        or c / nullif(m, 0)::double - (r - r_in) / nullif(n, 0)::double > distance

),

-- Both distribution functions, in steps: how many rows are at most so much. Each value is a step where it matters.
{{ c }}_steps as materialized (

    select
        (sum(r_in) over in_order)::bigint as r,
        (sum(c_in) over in_order)::bigint as c
    from (
        select
            bucket,
            null as x,
            r_in,
            c_in
        from {{ c }}_buckets
        where bucket not in (select bucket from {{ c }}_open)
        union all
        {{ assay._counted_by(c, 'bucket, x', 'bucket in (select bucket from ' ~ c ~ '_open)') }}
    ) as counted
    window in_order as (order by bucket, x rows unbounded preceding)

),

{{ c }}_rises as (

    select *
    from (
        select
            *,
            lag(r, 1, 0) over (order by r, c) as r_before,
            lag(c, 1, 0) over (order by r, c) as c_before
        from {{ c }}_steps
    ) as steps
    cross join {{ c }}_sizes

)
{%- endmacro %}


{#- The row of a column. -#}
{% macro _drift_of_column(c, column, epsilon) -%}
{{ c }} as (

    select
        {{ assay._text(column) }} as feature,
        rows_of.*,
        (select {{ assay._ks() }} from {{ c }}_steps cross join {{ c }}_sizes) as ks,
        divergences.*
    from (
        select
            reference.row_count as reference_rows,
            current.row_count as current_rows,
            reference.row_count - reference.{{ c }}_count as reference_nulls,
            current.row_count - current.{{ c }}_count as current_nulls,
            reference.{{ c }}_mean as reference_mean,
            current.{{ c }}_mean as current_mean,
            reference.{{ c }}_stddev as reference_stddev
        from reference_figures as reference
        cross join current_figures as current
    ) as rows_of
    cross join ({{ assay._divergences(c ~ '_bins', epsilon) }}) as divergences

)
{%- endmacro %}


{#- How many values of the reference (r_in) and of the current rows (c_in) there are by bucket, or by value within it. -#}
{% macro _counted_by(c, by, condition='true') -%}
    select
        {{ by }},
        sum(r_in)::bigint as r_in,
        sum(c_in)::bigint as c_in
    from (
        {%- for side, counts in {'reference': ['count(*)', 0], 'current': [0, 'count(*)']}.items() %}
        select
            {{ by }},
            {{ counts[0] }} as r_in,
            {{ counts[1] }} as c_in
        from (
            select
                -- Each operation keeps the order of values, whatever is rounded.
                floor(({{ c }} - lo) * buckets_a_unit) as bucket,
                {{ c }} as x
            from {{ side }}_values
            cross join {{ c }}_scale
            where {{ c }} is not null
        ) as placed
        where {{ condition }}
        group by {{ by }}
        {{- ' union all' if not loop.last }}
        {%- endfor %}
    ) as sides
    group by {{ by }}
{%- endmacro %}


{#- The values of both sides, named x, and whose they are. -#}
{% macro _both_sides(reference, current, expression) -%}
    select
        {{ expression }} as x,
        true as is_reference
    from {{ reference }} as reference_rows
    union all
    select
        {{ expression }} as x,
        false as is_reference
    from {{ current }} as current_rows
{%- endmacro %}


{#- The Kolmogorov-Smirnov statistic of steps: r of n rows of the reference, and c of m current ones, are at most x. -#}
{% macro _ks() -%}
    max(abs(r / nullif(n, 0)::double - c / nullif(m, 0)::double))
{%- endmacro %}


{#- CTEs from name_rises, steps that also say how many rows were below, and name_sizes to name_bins: the shares p
    (reference) and q (current) of the bins between the reference's quantiles. A comparison each of the columns `by`. -#}
{% macro _bins(name, bins=10, by=[]) -%}
    {%- set of = by | join(', ') ~ (', ' if by) -%}
    {%- set before = 'over (' ~ ('partition by ' ~ by | join(', ') ~ ' ' if by) ~ 'order by r, c)' -%}
-- How many of the reference's quantiles each step is; one that is several is a value of its own.
{{ name }}_quantiles as (

    select
        *,
        least({{ bins - 1 }}, r * {{ bins }} // nullif(n, 0)) - least({{ bins - 1 }}, r_before * {{ bins }} // nullif(n, 0)) as times
    from {{ name }}_rises
    where n > 0

),

{{ name }}_cuts as (

    select {{ of }}r, c, n, m from {{ name }}_quantiles where times >= 1
    union
    select {{ of }}r_before as r, c_before as c, n, m from {{ name }}_quantiles where times >= 2
    union
    select {{ of }}n as r, m as c, n, m from {{ name }}_sizes

),

{{ name }}_bins as (

    select
        {{ of -}}
        (r - lag(r, 1, 0) {{ before }}) / nullif(n, 0)::double as p,
        (c - lag(c, 1, 0) {{ before }}) / nullif(m, 0)::double as q
    from {{ name }}_cuts

)
{%- endmacro %}


{#- Population stability index and Jensen-Shannon distance of the shares p (reference) and q (current). Terms are added
    in order, for sums of doubles depend on it. -#}
{% macro _divergences(shares, epsilon=0.0001, by=[]) -%}
    {%- set of = by | join(', ') ~ (', ' if by) -%}
    select
        {{ of -}}
        psi,
        -- Of shares that are alike rounding may leave a little less than nothing.
        sqrt(if(divergence < 0, 0, divergence)) as js
    from (
        select
            {{ of -}}
            sum(
                (greatest(q, {{ epsilon }}) - greatest(p, {{ epsilon }})) * ln(greatest(q, {{ epsilon }}) / greatest(p, {{ epsilon }}))
                order by p, q
            ) as psi,
            sum(
                case when p > 0 then p * ln(2 * p / (p + q)) else 0 end
                + case when q > 0 then q * ln(2 * q / (p + q)) else 0 end
                order by p, q
            ) / 2 as divergence
        from {{ shares }}
        where p is not null and q is not null
        {{ 'group by ' ~ by | join(', ') if by }}
    ) as sums
{%- endmacro %}
