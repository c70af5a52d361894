{% macro min_max_scale(column, parameters) -%}
    (
        ({{ assay.quoted(column) }}::double - {{ assay._fitted(parameters, 'min_max_scale', column, 'max(value)', "parameter = 'min'") }})
        / {{ assay._fitted(parameters, 'min_max_scale', column, 'max(value)', "parameter = 'range'") }}
    )
{%- endmacro %}


{% macro _fit_min_max_scale(column, options, where) -%}
    {%- set x = assay.quoted(column) ~ '::double' -%}
    select
        unnest(['min', 'range']) as parameter,
        null as key,
        null as fold,
        unnest([min({{ x }}), coalesce(nullif(max({{ x }}) - min({{ x }}), 0), 1)]) as value
    from training
{%- endmacro %}
