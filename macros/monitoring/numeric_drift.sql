{% macro numeric_drift(reference, current, columns, bins=10, epsilon=0.0001) -%}
    {%- set running = 'over (rows between unbounded preceding and current row)' -%}
with
{% for column in columns %}
{%- set c = 'c' ~ loop.index %}
{{ c }}_values as (

    {{ assay._both_sides(reference, current, column ~ '::double') }}

),

{{ c }}_counted as (

    select
        x,
        x is distinct from lead(x) over () as is_last,
        count(*) filter (is_reference) {{ running }} as r,
        count(*) filter (not is_reference) {{ running }} as c
    from (select * from {{ c }}_values where x is not null and not isnan(x) order by x) as present

),

-- Both distribution functions, in steps: how many rows are at most x.
{{ c }}_steps as materialized (

    select x, r, c from {{ c }}_counted where is_last

),

{{ c }}_sizes as (

    select
        max(r)::hugeint as n,
        max(c)::hugeint as m
    from {{ c }}_steps

),

{{ c }}_rises as (

    select *
    from (
        select
            *,
            lag(r, 1, 0) over () as r_before,
            lag(c, 1, 0) over () as c_before
        from {{ c }}_steps
    ) as steps
    cross join {{ c }}_sizes

),

{{ assay._bins(c, bins) }},

{{ c }} as (

    select
        '{{ column }}' as feature,
        rows_of.*,
        (select {{ assay._ks() }} from {{ c }}_steps cross join {{ c }}_sizes) as ks,
        divergences.*
    from (
        select
            count(*) filter (is_reference) as reference_rows,
            count(*) filter (not is_reference) as current_rows,
            count(*) filter (is_reference and (x is null or isnan(x))) as reference_nulls,
            count(*) filter (not is_reference and (x is null or isnan(x))) as current_nulls,
            avg(x) filter (is_reference and isfinite(x)) as reference_mean,
            avg(x) filter (not is_reference and isfinite(x)) as current_mean,
            stddev_samp(x) filter (is_reference and isfinite(x)) as reference_stddev
        from {{ c }}_values
    ) as rows_of
    cross join ({{ assay._divergences(c ~ '_bins', epsilon) }}) as divergences

){{ ',' if not loop.last }}
{% endfor %}
{% for column in columns -%}
select * from c{{ loop.index }}
{{ 'union all' if not loop.last }}
{% endfor %}
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
{% macro _bins(name, bins, by=[]) -%}
    {%- set of = by | join(', ') ~ (', ' if by) -%}
    {%- set before = 'over (' ~ ('partition by ' ~ by | join(', ') ~ ' ' if by) ~ 'order by r, c)' -%}
-- How many of the reference's quantiles each step is; one that is several is a value of its own.
{{ name }}_quantiles as (

    select
        *,
        least({{ bins - 1 }}, r * {{ bins }} // n) - least({{ bins - 1 }}, r_before * {{ bins }} // n) as times
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
{% macro _divergences(shares, epsilon, by=[]) -%}
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
