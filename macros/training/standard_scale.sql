{% macro standard_scale(column, parameters) -%}
    (
        ({{ assay.quoted(column) }}::double - {{ assay._fitted(parameters, 'standard_scale', column, 'max(value)', "parameter = 'mean'") }})
        / {{ assay._fitted(parameters, 'standard_scale', column, 'max(value)', "parameter = 'scale'") }}
    )
{%- endmacro %}


{% macro _fit_standard_scale(column, options, where) -%}
    select
        unnest(['mean', 'scale']) as parameter,
        null as key,
        null as fold,
        unnest([
            mean,
            coalesce(
                nullif(
                    sqrt(
                        list_aggregate(list_transform(_values, lambda _value: (_value - mean) * (_value - mean)), 'fsum')
                        / len(_values)
                    ),
                    0
                ),
                1
            )
        ]) as value
    from (
        select
            _values,
            -- Where all values are equal, rounding must not move the mean away from them.
            greatest(_values[1], least(_values[-1], list_aggregate(_values, 'fsum') / len(_values))) as mean
        from {{ assay._sorted(column) }}
    )
{%- endmacro %}
