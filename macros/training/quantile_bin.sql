{% macro quantile_bin(column, parameters) -%}
    {%- set edges = assay._fitted(
        parameters, 'quantile_bin', column, "coalesce(list(value) filter (where parameter = 'edge'), [])"
    ) -%}
    case
        when {{ assay.quoted(column) }} is not null
            then len(list_filter({{ edges }}, lambda _edge: _edge <= {{ assay.quoted(column) }}::double))::integer
    end
{%- endmacro %}


{% macro _fit_quantile_bin(column, options, where) -%}
    {%- set bins = options.bins -%}
    {%- if bins is not integer or bins < 2 -%}
        {%- do assay._refuse('the bins ' ~ bins ~ ' of quantile_bin must be a whole number from 2') -%}
    {%- endif -%}
    select
        'bins' as parameter,
        null as key,
        null as fold,
        {{ bins }} as value

    union all

    select distinct
        'edge' as parameter,
        null as key,
        null as fold,
        -- The least value that so many of the training values do not exceed.
        _values[(bin * len(_values) + {{ bins - 1 }}) // {{ bins }}] as value
    from {{ assay._sorted(column) }}
    cross join range(1, {{ bins }}) as bins (bin)
    where value > _values[1]
{%- endmacro %}
