{% macro fit_preprocessing(relation, steps, where="split = 'train'") -%}
    {%- set fits = assay._fits(steps, where) -%}
-- Each column is fitted from a scan of its own; together, all columns of all rows would have to be held.
with training as not materialized (

    select *
    from {{ relation }}
    where {{ where }}

),

fitted as (
    {% for fit in fits %}
    select
        '{{ fit.method }}' as method,
        {{ assay._text(fit.column) }} as feature,
        *
    from (

        {{ fit.query }}

    )
    {%- if not loop.last %}

    union all
    {% endif %}
    {%- endfor %}

),

final as (

    select
        method,
        feature,
        parameter,
        key::varchar as key,
        fold::integer as fold,
        case
            when not isfinite(value::double) then error(method || ': the training rows have a ' || feature || ' that is not finite')
            else value
        end::double as value
    from fitted
    order by method, feature, parameter, key, fold, value

)

select * from final
{%- endmacro %}


{#- What is fitted: a query for each method and column. -#}
{% macro _fits(steps, where) -%}
    {%- set methods = {
        'standard_scale': {'words': ['columns'], 'fit': assay._fit_standard_scale},
        'min_max_scale': {'words': ['columns'], 'fit': assay._fit_min_max_scale},
        'quantile_bin': {'words': ['columns', 'bins'], 'fit': assay._fit_quantile_bin},
        'one_hot': {'words': ['columns', 'max_categories'], 'fit': assay._fit_one_hot},
        'target_encode': {'words': ['columns', 'target', 'smoothing', 'folds', 'row_id'], 'fit': assay._fit_target_encode},
    } -%}
    {%- set fits = [] -%}
    {%- for method, step in steps.items() -%}
        {%- if method not in methods -%}
            {%- do assay._refuse('the method ' ~ method ~ ' is unknown: allowed are ' ~ methods | join(', ')) -%}
        {%- endif -%}
        {%- set options = step if step is mapping else {'columns': step} -%}
        {%- if options | sort != methods[method].words | sort or options.columns is string or not options.columns -%}
            {%- do assay._refuse(method ~ ' needs ' ~ methods[method].words | join(', ') ~ ', of which columns is a list, and nothing else') -%}
        {%- endif -%}
        {%- for column in options.columns -%}
            {%- do fits.append({'method': method, 'column': column, 'query': methods[method].fit(column, options, where)}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if not fits -%}
        {%- do assay._refuse('fit_preprocessing was given no steps: allowed are ' ~ methods | join(', ')) -%}
    {%- endif -%}
    {{ return(fits) }}
{%- endmacro %}


{#- All values of a column in their order: what is computed from it does not depend on how threads shared the rows. -#}
{% macro _sorted(column) -%}
    {%- set value = assay.quoted(column) ~ '::double' -%}
    (select list({{ value }} order by {{ value }}) as _values from training where {{ assay.quoted(column) }} is not null)
{%- endmacro %}


{#- An aggregate over the parameters that were fitted for the column; an error where there are none. -#}
{% macro _fitted(parameters, method, column, aggregate, condition='true') -%}
    {%- if assay._folded(column) in ['_category', '_encodings', '_edge'] -%}
        {%- do assay._refuse(method ~ ' has a use of its own for the name ' ~ column ~ ': give the column another') -%}
    {%- endif -%}
    (
        select
            case
                when count(*) = 0 then error({{ assay._text(method ~ ': ' ~ parameters ~ ' has no parameters of ' ~ column) }})
                else {{ aggregate }}
            end
        from {{ parameters }}
        where method = '{{ method }}' and feature = {{ assay._text(column) }} and {{ condition }}
    )
{%- endmacro %}
