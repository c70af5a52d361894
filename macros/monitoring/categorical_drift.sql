{% macro categorical_drift(reference, current, columns, epsilon=0.0001) -%}
with
{% for column in columns %}
{%- set c = 'c' ~ loop.index %}
{{ assay._shares_of_column(c, reference, current, column) }},

{{ assay._drift_of_categories(c, column, epsilon) }}{{ ',' if not loop.last }}

{% endfor %}
{%- for column in columns %}
select * from c{{ loop.index }}
{{ 'union all' if not loop.last }}
{%- endfor %}
{%- endmacro %}


{#- How often each category stands on either side, NULL among them, and its shares of what is no NULL. -#}
{% macro _shares_of_column(c, reference, current, column) -%}
{{ c }}_counts as (

    select
        x as value,
        count(*) filter (is_reference) as r,
        count(*) filter (not is_reference) as c
    from (
    {{ assay._both_sides(reference, current, assay.quoted(column) ~ '::varchar') }}
    ) as both_sides
    group by x

),

{{ c }}_shares as (

    select
        r,
        c,
        n,
        m,
        r / nullif(n, 0)::double as p,
        c / nullif(m, 0)::double as q
    from {{ c }}_counts
    cross join (
        select
            sum(r) as n,
            sum(c) as m
        from {{ c }}_counts
        where value is not null
    ) as sizes
    where value is not null

)
{%- endmacro %}


{#- The row of a column. -#}
{% macro _drift_of_categories(c, column, epsilon) -%}
{{ c }} as (

    select
        {{ assay._text(column) }} as feature,
        coalesce(sum(r), 0)::bigint as reference_rows,
        coalesce(sum(c), 0)::bigint as current_rows,
        coalesce(sum(r) filter (value is null), 0)::bigint as reference_nulls,
        coalesce(sum(c) filter (value is null), 0)::bigint as current_nulls,
        (
            select
                sum((r - e) * (r - e) / e + (c - f) * (c - f) / f order by r, c)
            from (
                select
                    r,
                    c,
                    (r + c) * n / (n + m)::double as e,
                    (r + c) * m / (n + m)::double as f
                from {{ c }}_shares
                where n > 0 and m > 0
            ) as expected
        ) as chi2,
        (select count(*) - 1 from {{ c }}_shares) as degrees_of_freedom,
        (select sum(q order by q) from {{ c }}_shares where r = 0) as unseen_share,
        any_value(divergences.psi) as psi,
        any_value(divergences.js) as js
    from {{ c }}_counts
    cross join ({{ assay._divergences(c ~ '_shares', epsilon) }}) as divergences

)
{%- endmacro %}
