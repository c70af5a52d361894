{% macro rows_to_check(bronze, documents=false) -%}
    select
        *,
        {{ assay.contract_rules(bronze) }} as contract_rule_ids
    from
        {%- if documents %} (select * replace (coalesce(line_as_declared, line) as line) from {{ bronze }}) as landed
        {%- else %} {{ bronze }}
        {%- endif %}
    {%- if is_incremental() %}
    {#- Where no file is new, this reads no line: the landed rows are looked up by the files to check, not the other
        way about. #}
    where file_id in (select file_id from {{ bronze }} except select file_id from {{ this }})
    {%- endif %}
{%- endmacro %}
