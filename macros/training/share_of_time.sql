{% macro share_of_time(relation, at, share) -%}
    {%- if share is not number or not 0 < share < 1 -%}
        {%- do assay._refuse('the share ' ~ share ~ ' of share_of_time must be a number between 0 and 1') -%}
    {%- endif -%}
    {%- set at = assay._sql(at) -%}
(
    select make_timestamp(epoch_us(min({{ at }})) + ((epoch_us(max({{ at }})) - epoch_us(min({{ at }}))) * {{ share }})::bigint)
    from {{ relation }}
)
{%- endmacro %}
