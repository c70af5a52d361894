{% macro downsample(label, ratio, seed, row_id=none, where='true') -%}
    {%- if not row_id -%}
        {%- do assay._refuse('downsample needs row_id, an expression that identifies the row: whether a row is kept must not depend on the order of rows') -%}
    {%- endif -%}
    {%- if ratio is not number or ratio <= 0 -%}
        {%- do assay._refuse('the ratio ' ~ ratio ~ ' of downsample must be a number above 0: so many negatives are kept for each positive') -%}
    {%- endif -%}
    {%- set is_positive = '(' ~ assay._sql(label) ~ ')::boolean' -%}
    {%- set is_sampled = 'coalesce(' ~ where ~ ', false)' -%}
    {#- Not with `filter`: over a window without order, DuckDB 1.5 takes quadratic time for it. -#}
    {%- set positives = 'count(case when ' ~ is_sampled ~ ' and ' ~ is_positive ~ ' then 1 end) over ()' -%}
    {%- set negatives = 'count(case when ' ~ is_sampled ~ ' and not ' ~ is_positive ~ ' then 1 end) over ()' -%}
    {#- At least one is kept, so that it can stand for all. -#}
    {%- set kept = 'least(' ~ negatives ~ ', greatest(1, ceil(' ~ ratio ~ ' * ' ~ positives ~ ')))' -%}
case
    {#- What cannot be drawn is refused here: DuckDB 2 orders a window by nothing that may raise an error. #}
    when {{ assay._number_of_row(row_id, seed) }} is null then null
    when {{ is_positive }} is null then null
    when {{ is_positive }} or not {{ is_sampled }} then 1
    when
        row_number() over (
            partition by {{ is_sampled }}, {{ is_positive }}
            order by {{ assay._hash_of_row(assay._as_text(assay._sql(row_id), refused=false), seed) }}, {{ assay._sql(row_id) }}
        ) <= {{ kept }}
        then {{ negatives }} / {{ kept }}
end::double
{%- endmacro %}


{#- A number that depends on nothing but the row and the seed, on every machine and in every version of DuckDB. -#}
{% macro _number_of_row(row_id, seed) -%}
    coalesce(
        {{ assay._hash_of_row(assay._as_text(assay._sql(row_id)), seed) }},
        error({{ assay._text(row_id ~ ' is NULL, so the row cannot be drawn') }})
    )
{%- endmacro %}


{% macro _hash_of_row(text, seed) -%}
    md5_number_lower('{{ seed }}/' || {{ text }})
{%- endmacro %}
